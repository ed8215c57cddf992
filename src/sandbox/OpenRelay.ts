/** Opening a relay: wait for a session, admit exactly, ask the edge that holds the session. */
import { Clock, Duration, Effect, Option } from "effect"
import {
  FailedPrecondition,
  LimitReached,
  type StaleEpoch,
  Unauthenticated,
  Unavailable,
} from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { SshSessions } from "../store/SshSessions.ts"
import * as Admission from "./Admission.ts"
import { Edges } from "./Edges.ts"
import type { OpenRequest } from "./SandboxEntity.ts"
import type { SandboxState } from "./SandboxState.ts"

interface KnownToken {
  readonly expiresAtMs: number
  readonly revoked: boolean
}

export const make = (state: SandboxState, fence: Effect.Effect<Fence, StaleEpoch>) =>
  Effect.gen(function* () {
    const edges = yield* Edges
    const sshSessions = yield* SshSessions
    const one = (yield* Effect.makeSemaphore(1)).withPermits(1)
    /** Tokens this owner has checked; a revocation comes through this actor, so the copy is exact. */
    const tokens = new Map<string, KnownToken>()

    const remember = (tokenHash: string, token: KnownToken): KnownToken => {
      const [oldest] = tokens.keys()
      if (oldest !== undefined && tokens.size >= limits.knownTokens) tokens.delete(oldest)
      tokens.set(tokenHash, token)
      return token
    }

    const checkToken = (tokenHash: string) =>
      Effect.gen(function* () {
        let known = tokens.get(tokenHash)
        if (known === undefined) {
          const stored = Option.getOrUndefined(yield* sshSessions.find(tokenHash))
          if (stored === undefined)
            return yield* new Unauthenticated({ message: "SSH session token not found" })
          if (stored.sandboxId !== state.sandboxId)
            return yield* new Unauthenticated({ message: "SSH session token is not valid" })
          // A revocation that came while the row was read is newer than the row.
          known = tokens.get(tokenHash) ?? remember(tokenHash, stored)
        }
        if (known.revoked) return yield* new Unauthenticated({ message: "SSH session token is not valid" })
        if (known.expiresAtMs !== 0 && known.expiresAtMs <= (yield* Clock.currentTimeMillis))
          return yield* new Unauthenticated({ message: "SSH session token expired" })
      })

    /** Asks every edge what is open: after an activation, and before a refusal, so that no slot of the dead counts. */
    const learnSlots = Effect.gen(function* () {
      const before = state.admission()
      // Since the first answer of all edges every slot was given out here: only its carrier can know of its end.
      const carriers = state.slotsKnown()
        ? new Set([...before.slots.values()].map((slot) => slot.replica))
        : undefined
      const open = yield* Effect.flatMap(fence, (proof) => edges.slots(state.sandboxId, proof, carriers))
      state.setAdmission(Admission.reconcile(state.admission(), before, open))
      state.markSlotsKnown()
    })

    /** Opens that come together after an activation ask the edges once. */
    const learnFirstSlots = one(Effect.suspend(() => (state.slotsKnown() ? Effect.void : learnSlots)))

    /** The first open after an activation needs three answers, and none of them needs another: asked for at once. */
    const prepare = (tokenHash: string) =>
      Effect.all([state.current, checkToken(tokenHash), learnFirstSlots], {
        concurrency: "unbounded",
        discard: true,
      }).pipe(Effect.ignore)

    const takeSlot = (slot: Admission.Slot | undefined, channelId: string) =>
      Effect.gen(function* () {
        if (slot !== undefined && !state.slotsKnown()) yield* learnFirstSlots
        if (Admission.denySlot(state.admission(), slot) !== undefined) yield* learnSlots
        const denial = Admission.denySlot(state.admission(), slot)
        if (denial !== undefined) return yield* new LimitReached({ message: Admission.denialText[denial] })
        state.setAdmission(Admission.begin(state.admission(), channelId, slot))
      })

    /** Takes a place among the pending opens. A caller that was held for a session is not refused for the crowd. */
    const dispatch = (channelId: string, wasHeld: boolean, deadlineMs: number) =>
      Effect.gen(function* () {
        while (!Admission.mayDispatch(state.admission())) {
          if (!wasHeld || (yield* monotonicMs) >= deadlineMs)
            return yield* new LimitReached({ message: Admission.denialText.pending })
          yield* Effect.sleep(limits.sessionRetryMs)
        }
        state.setAdmission(Admission.dispatch(state.admission(), channelId))
      })

    /** The live session, waiting for one to attach while time remains. */
    const awaitSession = (deadlineMs: number) =>
      Effect.gen(function* () {
        for (let held = false; ; held = true) {
          const wake = state.nextChange()
          const { status } = yield* state.current
          if (status.phase !== "Ready")
            return yield* new FailedPrecondition({ message: "sandbox is not ready" })
          const presence = state.presence()
          if (presence !== undefined && presence.lostAtMs === undefined && edges.isLive(presence.replica))
            return { presence, held }
          const leftMs = deadlineMs - (yield* monotonicMs)
          if (leftMs <= 0) return yield* new Unavailable({ message: "supervisor session not connected" })
          yield* wake.pipe(Effect.timeoutOption(Duration.millis(Math.min(leftMs, limits.sessionLookMs))))
        }
      })

    /** `asked` hears which replica is asked before it is, and undefined when that replica has refused for good. */
    const place = (request: OpenRequest, deadlineMs: number, asked: (replica: string | undefined) => void) =>
      Effect.gen(function* () {
        for (let attempt = 1; ; attempt++) {
          const wake = state.nextChange()
          const { presence, held } = yield* awaitSession(deadlineMs)
          if (attempt === 1) yield* dispatch(request.channelId, held, deadlineMs)
          if (request.tokenHash !== "") yield* checkToken(request.tokenHash)
          const proof = yield* fence
          asked(presence.replica)
          const outcome = yield* edges
            .open(presence.replica, {
              sandboxId: state.sandboxId,
              sessionId: presence.sessionId,
              channelId: request.channelId,
              target: request.target,
              serviceId: request.serviceId,
              tokenHash: request.tokenHash,
              stream: request.stream,
              rendezvous: request.rendezvous,
              fence: proof,
            })
            .pipe(
              Effect.catchTag("SessionGone", () => Effect.succeed(undefined)),
              Effect.tapError(() => Effect.sync(() => asked(undefined))),
            )
          if (outcome !== undefined) return outcome
          if ((yield* monotonicMs) >= deadlineMs)
            return yield* new Unavailable({ message: "supervisor session not connected" })
          // The edge will report the loss, or the supervisor is back in a moment: look again then.
          yield* wake.pipe(Effect.timeoutOption(Duration.millis(limits.sessionRetryMs)))
        }
      })

    /** A revocation cuts what runs; what was on its way then was asked of the edge before, or came to run after. */
    const cutIfRevoked = (tokenHash: string) =>
      checkToken(tokenHash).pipe(
        Effect.catchTag("Unavailable", () => Effect.void),
        Effect.tapError(() => Effect.flatMap(fence, (proof) => edges.cut(state.sandboxId, tokenHash, proof))),
      )

    const open = (request: OpenRequest) =>
      Effect.gen(function* () {
        const deadlineMs = (yield* monotonicMs) + request.waitMs
        if (request.tokenHash !== "" && !state.slotsKnown()) yield* prepare(request.tokenHash)
        const { status } = yield* state.current
        if (status.phase !== "Ready")
          return yield* new FailedPrecondition({ message: "sandbox is not ready" })
        if (request.tokenHash !== "") yield* checkToken(request.tokenHash)
        const slot =
          request.tokenHash === ""
            ? undefined
            : {
                channelId: request.channelId,
                tokenHash: request.tokenHash,
                replica: "",
                stream: request.stream?.key ?? "",
              }
        yield* takeSlot(slot, request.channelId)
        // A replica that was asked and has not refused may carry the relay, also when nobody waits for it any more:
        // it keeps its slot until it says otherwise.
        let carrier: string | undefined
        return yield* place(request, deadlineMs, (replica) => {
          carrier = replica
        }).pipe(
          Effect.tap(() => (request.tokenHash === "" ? Effect.void : cutIfRevoked(request.tokenHash))),
          Effect.ensuring(
            Effect.sync(() =>
              state.setAdmission(Admission.finish(state.admission(), request.channelId, carrier)),
            ),
          ),
        )
      })

    return {
      open,
      revoke: (tokenHash: string): void => {
        remember(tokenHash, { expiresAtMs: tokens.get(tokenHash)?.expiresAtMs ?? 0, revoked: true })
      },
      forgetTokens: () => tokens.clear(),
    } as const
  })
