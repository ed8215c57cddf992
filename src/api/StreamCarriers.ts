/** What a client says of a relay: where it is to end, and the resumable stream that it is to carry. */
import { Effect } from "effect"
import type { InvalidArgument } from "../domain/Errors.ts"
import type { ForwardStart } from "../domain/Forward.ts"
import type { RelayTarget, StreamCarrier } from "../domain/Sandbox.ts"
import type { Principal } from "./Principal.ts"
import { refuse } from "./Validate.ts"

/** SHA-256 */
const keyBytes = 32
const loopback = /^(127(\.\d{1,3}){3}|::1|\[::1\]|localhost)$/i

/** The target of a forward, with the refusals of wire contract 1.3 in their order. */
export const targetOf = ({
  target,
}: Pick<ForwardStart, "target">): Effect.Effect<RelayTarget, InvalidArgument> => {
  if (target === undefined) return refuse("tcp forward target is required")
  if (target.kind === "ssh") return Effect.succeed(target)
  const { host, port } = target
  if (port < 1 || port > 65_535) return refuse("tcp target port must be between 1 and 65535")
  if (host === "") return refuse("tcp target host is required")
  return loopback.test(host) ? Effect.succeed(target) : refuse("tcp target host must be loopback")
}

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
export const carrierOf = (
  { sandboxId, carrier }: Pick<ForwardStart, "sandboxId" | "carrier">,
  target: RelayTarget,
  principal: Principal,
): Effect.Effect<StreamCarrier | undefined, InvalidArgument> => {
  if (carrier === undefined) return Effect.succeed(undefined)
  const kind = kindOf(carrier.kind)
  if (kind === undefined) return refuse(`streams of kind '${carrier.kind}' are not known`)
  if (carrier.key.length !== 2 * keyBytes) return refuse(`the key of a stream has ${keyBytes} bytes`)
  if ((kind === "tcp") !== (target.kind === "tcp"))
    return refuse(`a stream of kind '${kind}' has another target`)
  return Effect.succeed({
    key: carrier.key,
    kind,
    binding: bindingOf(principal, sandboxId),
  })
}
