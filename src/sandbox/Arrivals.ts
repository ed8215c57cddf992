/**
 * Attaches of many supervisors at once, for the shards that this replica owns. After the loss of a replica
 * thousands come within seconds; to wake an actor for each would cost more than everything else about them. A
 * sandbox whose actor sleeps is decided here, by the actor's own rule and under the same epoch: one statement
 * reads all of them and one writes them.
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { Ownership } from "../cluster/Ownership.ts"
import type { Unavailable } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import { type Attached, Presences } from "../store/Presences.ts"
import { decide, type Verdict } from "./Attachment.ts"
import { Edges, endSessionLater } from "./Edges.ts"
import * as Phase from "./Phase.ts"
import { Residents } from "./Residents.ts"
import { AttachReply, AttachRequest } from "./SandboxEntity.ts"

export const Arrival = Schema.Struct({
  sandboxId: Schema.String,
  shard: Schema.Number,
  claim: AttachRequest,
})
export type Arrival = typeof Arrival.Type

export const ArrivalAnswer = Schema.Union(
  AttachReply,
  /** Its actor is awake, or something else was in the way: the actor decides. */
  Schema.TaggedStruct("AskActor", {}),
  /** This replica does not own the shard, or not any more. */
  Schema.TaggedStruct("Elsewhere", {}),
)
export type ArrivalAnswer = typeof ArrivalAnswer.Type

export const askActor: ArrivalAnswer = { _tag: "AskActor" }
export const elsewhere: ArrivalAnswer = { _tag: "Elsewhere" }

interface Candidate extends Arrival {
  readonly fence: Fence
}

interface Write {
  readonly one: Candidate
  readonly verdict: Verdict & { readonly _tag: "Write" }
  readonly change: Attached["change"]
}

const make = Effect.gen(function* () {
  const ownership = yield* Ownership
  const presences = yield* Presences
  const edges = yield* Edges
  const residents = yield* Residents

  const attachSleeping = (
    candidates: ReadonlyArray<Candidate>,
    answers: Map<string, ArrivalAnswer>,
  ): Effect.Effect<void, Unavailable> =>
    Effect.gen(function* () {
      if (candidates.length === 0) return
      const rows = yield* presences.arriving(candidates.map(({ sandboxId }) => sandboxId))
      const nowMs = yield* Clock.currentTimeMillis
      const writes: Array<Write> = []
      for (const one of candidates) {
        const found = rows.get(one.sandboxId)
        // The first session of all is an event of the sandbox, which its actor tells.
        if (found === undefined || Phase.awaitsFirstSession(found.status)) continue
        const verdict = decide({ ...one, ...found, nowMs, isLive: edges.isLive })
        if (verdict._tag === "Answer") answers.set(one.sandboxId, verdict.reply)
        else
          writes.push({
            one,
            verdict,
            change:
              verdict.status === found.status
                ? undefined
                : { status: verdict.status, resourceVersion: found.resourceVersion },
          })
      }
      const written = yield* presences.putAll(
        writes.map(({ one, verdict, change }) => ({ presence: verdict.presence, fence: one.fence, change })),
      )
      for (const { one, verdict } of writes) {
        if (!written.has(one.sandboxId)) continue
        answers.set(one.sandboxId, verdict.reply)
        if (verdict.ends !== undefined) yield* endSessionLater(edges, verdict.ends, one.fence)
      }
      yield* Effect.logDebug("Sessions attached together").pipe(
        Effect.annotateLogs({ sessions: written.size }),
      )
    })

  /** One answer for each, in order. Two of the same sandbox at once: the second is for the actor. */
  const attachAll = (
    arrivals: ReadonlyArray<Arrival>,
  ): Effect.Effect<ReadonlyArray<ArrivalAnswer>, Unavailable> =>
    Effect.gen(function* () {
      const fences = new Map<number, Fence | undefined>()
      for (const { shard } of arrivals)
        if (!fences.has(shard))
          fences.set(shard, yield* Effect.orElseSucceed(ownership.fence(shard), () => undefined))
      const answers = new Map<string, ArrivalAnswer>()
      const chosen = new Map<string, Candidate>()
      for (const one of arrivals) {
        const fence = fences.get(one.shard)
        if (fence !== undefined && !chosen.has(one.sandboxId)) chosen.set(one.sandboxId, { ...one, fence })
      }
      const candidates = [...chosen.values()]
      yield* residents.without([...chosen.keys()], (free) =>
        attachSleeping(
          candidates.filter(({ sandboxId }) => free.has(sandboxId)),
          answers,
        ),
      )
      return arrivals.map((one) => {
        if (fences.get(one.shard) === undefined) return elsewhere
        if (chosen.get(one.sandboxId)?.claim.sessionId !== one.claim.sessionId) return askActor
        return answers.get(one.sandboxId) ?? askActor
      })
    })

  return { attachAll } as const
})

export class Arrivals extends Context.Tag("holdfast/Arrivals")<
  Arrivals,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(Arrivals, make)
}
