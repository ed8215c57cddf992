/** What a client says of a relay that is to carry a resumable stream (extension of `TcpForwardInit`). */
import { Effect } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import type { RelayTarget, StreamCarrier } from "../domain/Sandbox.ts"
import type { TcpForwardInit } from "../wire/OpenShell.ts"
import type { Principal } from "./Principal.ts"

/** SHA-256 */
const keyBytes = 32

/** On whose behalf a relay of that sandbox is opened; the same on every replica. Not a secret. */
export const bindingOf = (principal: Principal, sandboxId: string): string => {
  switch (principal.kind) {
    case "user":
      return `user/${principal.identityProvider}/${principal.subject} ${sandboxId}`
    case "sandbox":
      return `sandbox/${principal.sandboxId} ${sandboxId}`
    case "none":
      return ` ${sandboxId}`
  }
}

const kindOf = (kind: string): StreamCarrier["kind"] | undefined =>
  kind === "ssh" || kind === "tcp" || kind === "exec" ? kind : undefined

/** Undefined for a plain relay. A command is started where the SSH server is. */
export const carrierFromWire = (
  { sandboxId, holdfast }: Pick<TcpForwardInit, "sandboxId" | "holdfast">,
  target: RelayTarget,
  principal: Principal,
): Effect.Effect<StreamCarrier | undefined, InvalidArgument> => {
  if (holdfast === undefined) return Effect.succeed(undefined)
  const refuse = (message: string) => Effect.fail(new InvalidArgument({ message }))
  const kind = kindOf(holdfast.kind)
  if (kind === undefined) return refuse(`streams of kind '${holdfast.kind}' are not known`)
  if (holdfast.key.length !== keyBytes) return refuse(`the key of a stream has ${keyBytes} bytes`)
  if ((kind === "tcp") !== (target.kind === "tcp"))
    return refuse(`a stream of kind '${kind}' has another target`)
  return Effect.succeed({
    key: Buffer.from(holdfast.key).toString("hex"),
    kind,
    binding: bindingOf(principal, sandboxId),
  })
}
