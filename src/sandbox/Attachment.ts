/** Whether a supervisor's session becomes the sandbox's, and what has to be written for it: pure. */
import type { Fence } from "../domain/Fence.ts"
import { limits } from "../domain/Limits.ts"
import type { Presence, SandboxStatus } from "../domain/Sandbox.ts"
import * as Phase from "./Phase.ts"
import type { AttachReply, AttachRequest } from "./SandboxEntity.ts"
import * as Supersede from "./Supersede.ts"

export interface Attachment {
  readonly sandboxId: string
  readonly claim: AttachRequest
  readonly status: SandboxStatus
  readonly previous: Presence | undefined
  readonly fence: Fence
  readonly nowMs: number
  /** Whether a replica is a live member; one that is gone has no session. */
  readonly isLive: (replica: string) => boolean
}

export type Verdict =
  /** Nothing to write: refused, or the very session that is current already. */
  | { readonly _tag: "Answer"; readonly reply: AttachReply }
  | {
      readonly _tag: "Write"
      readonly reply: AttachReply
      readonly presence: Presence
      /** The same as before when the session only moved. */
      readonly status: SandboxStatus
      /** The living session that this one takes the place of, to be ended. */
      readonly ends: Presence | undefined
    }

const rejected = (reason: string): Verdict => ({ _tag: "Answer", reply: { _tag: "Rejected", reason } })

export const decide = ({ sandboxId, claim, status, previous, fence, nowMs, isLive }: Attachment): Verdict => {
  // On its way while the sandbox stopped, and of a supervisor that is no more: nothing is left to order it by.
  if (!Phase.admits(status)) return rejected(`the sandbox is ${status.phase}`)
  const verdict = Supersede.decide(previous, previous?.retiredInstances ?? [], claim)
  if (verdict._tag === "Refuse") return rejected(verdict.reason)
  const ends =
    previous !== undefined &&
    previous.sessionId !== claim.sessionId &&
    previous.lostAtMs === undefined &&
    isLive(previous.replica)
      ? previous
      : undefined
  const reply: AttachReply = {
    _tag: "Accepted",
    epoch: fence.epoch,
    shard: fence.shard,
    moved: ends !== undefined && ends.instanceId === claim.instanceId,
  }
  if (verdict._tag === "Same" && previous?.lostAtMs === undefined) return { _tag: "Answer", reply }
  const retired = previous?.retiredInstances ?? []
  const retires = verdict._tag === "Accept" ? verdict.retire : undefined
  return {
    _tag: "Write",
    reply,
    presence: {
      sandboxId,
      ...claim,
      attachedAtMs: nowMs,
      retiredInstances:
        retires === undefined ? retired : [retires, ...retired].slice(0, limits.retiredInstances),
    },
    status: Phase.attached(status, claim.instanceId, nowMs),
    ends,
  }
}
