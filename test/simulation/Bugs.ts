/** Known mistakes, each one changed rule, and within how many seeds the checks have to find it. */
import { Effect } from "effect"
import type { Slot } from "../../src/sandbox/Admission.ts"
import { makeCore } from "../../src/stream/core/Core.ts"
import { soundRules as soundStream } from "../../src/stream/core/Rules.ts"
import { type Rules, soundRules, WatchedRendezvous } from "./cluster/Rules.ts"

export interface Bug {
  readonly says: string
  readonly rules: () => Rules
  /** The first seed that is tried; 1 but for mistakes that need more of them than a check has time for. */
  readonly first: number
  /** Seeds from there on in which it is found. */
  readonly within: number
}

const bug = (says: string, within: number, change: () => Partial<Rules>, first = 1): Bug => ({
  says,
  first,
  within,
  rules: () => ({ ...soundRules, ...change() }),
})

/** A ticket that stays good after it was used. */
class ForgetfulRendezvous extends WatchedRendezvous {
  readonly #used = new Map<string, ReturnType<WatchedRendezvous["redeem"]>>()
  readonly #again: (channelId: string) => void

  constructor(nowMs: () => number, delivered: (channelId: string) => void) {
    super(nowMs, delivered)
    this.#again = delivered
  }

  override redeem(channelId: string, ticket: string) {
    const used = this.#used.get(ticket)
    if (used !== undefined) {
      this.#again(channelId)
      return used
    }
    const deliver = super.redeem(channelId, ticket)
    if (typeof deliver !== "string") this.#used.set(ticket, deliver)
    return deliver
  }
}

export const bugs = {
  "locks-for-everyone": bug("a lock that is held is granted again", 60, () => ({
    locks: (table) => {
      table.grants = () => true
    },
  })),
  "store-ignores-epochs": bug(
    "the database takes writes of former owners",
    20,
    () => ({ overlooks: ["proof"], storeFences: false, ownership: heldIsEnough }),
    3_040,
  ),
  "fence-never-closes": bug("a replica without proof goes on acting", 60, () => ({
    ownership: heldIsEnough,
  })),
  "second-attach-ignored": bug("an actor answers a second attach without a look at it", 60, () => ({
    actor: (actor) => {
      let first: string | undefined
      return {
        ...actor,
        Attach: (claim, options) => {
          first ??= claim.sessionId
          return actor.Attach({ ...claim, sessionId: first }, options)
        },
      }
    },
    arrivals: alwaysTheActor,
  })),
  "old-attach-evicts": bug(
    "the latest attach wins, however old its connection",
    15,
    () => ({
      actor: (actor) => ({
        ...actor,
        Attach: (claim, options) =>
          actor.Attach({ ...claim, instanceStartedAtMs: 0, connectionEpoch: 0 }, options),
      }),
      arrivals: ({ attachAll }) => ({
        attachAll: (arrivals) =>
          attachAll(
            arrivals.map((one) => ({
              ...one,
              claim: { ...one.claim, instanceStartedAtMs: 0, connectionEpoch: 0 },
            })),
          ),
      }),
    }),
    120,
  ),
  "slot-forgotten": bug("a relay gives its slot back when it opens", 60, () => ({
    actor: (actor) => ({
      ...actor,
      OpenRelay: (request, options) =>
        Effect.zipLeft(
          actor.OpenRelay(request, options),
          Effect.orDie(actor.RelayClosed({ channelId: request.channelId })),
        ),
    }),
  })),
  "slots-of-the-dead": bug("relays that were counted once count for ever", 60, () => {
    const seen = new Map<string, Map<string, Slot>>()
    return {
      edges: (edges) => ({
        ...edges,
        slots: (sandboxId, fence, replicas) =>
          Effect.map(edges.slots(sandboxId, fence, replicas), (open) => {
            const known = seen.get(sandboxId) ?? new Map<string, Slot>()
            for (const slot of open) known.set(slot.channelId, slot)
            seen.set(sandboxId, known)
            return [...known.values()]
          }),
      }),
    }
  }),
  "acknowledged-early": bug("bytes are acknowledged before the application has them", 60, () => ({
    core: makeCore({ ...soundStream, acknowledged: (_, received) => received }),
  })),
  "ticket-good-twice": bug("a ticket brings two legs", 60, () => ({
    rendezvous: (nowMs, delivered) => new ForgetfulRendezvous(nowMs, delivered),
  })),
  "grace-never-ends": bug("a sandbox without a session stays Ready", 60, () => ({
    sessionGraceMs: 3_600_000,
  })),
  "demoted-at-once": bug("a lost session demotes its sandbox at once", 60, () => ({ sessionGraceMs: 0 })),
  "loss-unnoticed": bug("an owner does not hear of a lost session", 60, () => ({
    actor: (actor) => ({ ...actor, Detach: () => Effect.void }),
  })),
} satisfies Record<string, Bug>

function alwaysTheActor(): ReturnType<Rules["arrivals"]> {
  return { attachAll: (arrivals) => Effect.succeed(arrivals.map(() => ({ _tag: "AskActor" as const }))) }
}

/** Proof as long as the lock is remembered, however old its last proof. */
function heldIsEnough(ownership: Parameters<Rules["ownership"]>[0]): ReturnType<Rules["ownership"]> {
  return {
    ...ownership,
    fence: (shard) =>
      Effect.flatMap(ownership.held, (held) => {
        const epoch = held.get(shard)
        return epoch === undefined ? ownership.fence(shard) : Effect.succeed({ shard, epoch })
      }),
  }
}

export type BugName = keyof typeof bugs

export const isBug = (name: string): name is BugName => name in bugs
