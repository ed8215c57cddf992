/** How a command gets its gateway, and how its errors become words. */
import { Effect, type Scope } from "effect"
import { EndpointProblem, resolveEndpoint } from "../client/Endpoint.ts"
import { GatewayClient, type GatewayClientService } from "../client/GatewayClient.ts"
import { TransferFailed } from "../client/transfer/TransferFailed.ts"
import { nearest } from "../domain/Nearest.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { CliFailure, explain, type FailureContext } from "./Failure.ts"
import type { Invocation } from "./Invocation.ts"

/** Opens the client of the invocation's gateway for as long as the scope lasts; it connects on first use. */
export const openGateway = (
  invocation: Invocation,
): Effect.Effect<GatewayClientService, CliFailure, Scope.Scope> => {
  const { globals } = invocation
  const endpoint = resolveEndpoint(globals, process.env)
  if (endpoint instanceof EndpointProblem) {
    return Effect.fail(new CliFailure({ what: endpoint.what, next: endpoint.next, exitCode: 2 }))
  }
  return GatewayClient.make({
    endpoint,
    workspace: globals.workspace,
    ...(globals.timeoutMs === undefined ? {} : { timeoutMs: globals.timeoutMs }),
  })
}

type Attempt = Omit<FailureContext, "gateway" | "workspace" | "suggestion">

/** Turns an effect's errors into what the user reads, with the nearest name for one that does not exist. */
export const attempting =
  (gateway: GatewayClientService, attempt: Attempt) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, CliFailure, R> =>
    Effect.catchAll(effect, (error) =>
      Effect.flatMap(suggestionFor(gateway, attempt, error), (suggestion) =>
        Effect.fail(
          error instanceof TransferFailed
            ? transferFailure(error, attempt)
            : explain(error, {
                ...attempt,
                gateway: gateway.endpoint.url,
                workspace: gateway.workspace,
                suggestion,
              }),
        ),
      ),
    )

/** The sandbox of a command's first operand. */
export const findSandbox = (
  gateway: GatewayClientService,
  name: string,
  attempt: Omit<Attempt, "sandbox">,
): Effect.Effect<Sandbox, CliFailure> =>
  attempting(gateway, { ...attempt, sandbox: name })(gateway.getSandbox(name))

const suggestionFor = (
  gateway: GatewayClientService,
  attempt: Attempt,
  error: unknown,
): Effect.Effect<string | undefined> => {
  const wanted = attempt.sandbox
  const isNotFound =
    typeof error === "object" && error !== null && "_tag" in error && error._tag === "NotFound"
  if (wanted === undefined || !isNotFound) return Effect.succeed(undefined)
  return gateway.listSandboxes().pipe(
    Effect.map((sandboxes) =>
      nearest(
        wanted,
        sandboxes.map(({ name }) => name),
      ),
    ),
    Effect.orElseSucceed(() => undefined),
  )
}

const transferFailure = (error: TransferFailed, attempt: Attempt): CliFailure =>
  new CliFailure({
    what: `cannot ${attempt.action}`,
    why: error.message,
    next: transferNext[error.reason],
    exitCode: error.reason === "missing" ? 5 : error.reason === "conflict" ? 7 : 1,
    cause: error,
  })

const transferNext: Readonly<Record<TransferFailed["reason"], string>> = {
  missing: "Check the path; a relative one starts at the sandbox's working directory.",
  conflict: "Nothing was changed. Choose another target, or remove what is in the way.",
  unreadable: "Nothing was changed. Check the permissions of the source.",
  unwritable: "Check the permissions and the free space of the target.",
  changed: "Nothing was changed. Copy it again when nobody writes to it.",
  damaged: "Nothing was changed. Run the command again.",
  tool: "Install it in the sandbox's image, or copy with scp (see `holdfast ssh-config --help`).",
}
