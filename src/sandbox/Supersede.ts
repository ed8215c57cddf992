/** Which of two supervisor sessions is the current one: pure. */
import type { Presence } from "../domain/Sandbox.ts"

export type Claim = Pick<
  Presence,
  "sessionId" | "instanceId" | "instanceStartedAtMs" | "connectionEpoch" | "replica"
>

export type Verdict =
  | { readonly _tag: "Accept"; readonly retire: string | undefined }
  /** The very session that is current already: an attach that was sent twice. */
  | { readonly _tag: "Same" }
  | { readonly _tag: "Refuse"; readonly reason: string }

const refuse = (reason: string): Verdict => ({ _tag: "Refuse", reason })

/**
 * The higher (instance, connection epoch) wins; an older one cannot evict a newer one.
 * OpenShell's supervisors state neither: of one instance the later arrival wins, and an instance that another
 * one replaced may not return.
 */
export const decide = (
  current: Presence | undefined,
  retired: ReadonlyArray<string>,
  claim: Claim,
): Verdict => {
  if (retired.includes(claim.instanceId)) return refuse("a newer instance of this supervisor has taken over")
  if (current === undefined) return { _tag: "Accept", retire: undefined }
  if (current.sessionId === claim.sessionId) return { _tag: "Same" }
  if (current.instanceId === claim.instanceId) {
    const ordered = current.connectionEpoch > 0 && claim.connectionEpoch > 0
    if (ordered && claim.connectionEpoch <= current.connectionEpoch)
      return refuse("a newer connection of this supervisor has taken over")
    return { _tag: "Accept", retire: undefined }
  }
  const ordered = current.instanceStartedAtMs > 0 && claim.instanceStartedAtMs > 0
  if (ordered && claim.instanceStartedAtMs < current.instanceStartedAtMs)
    return refuse("a newer instance of this supervisor has taken over")
  return { _tag: "Accept", retire: current.instanceId }
}
