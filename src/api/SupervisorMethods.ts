/** What supervisors call besides relays and logs: the session, configuration, exit, tokens. */
import { Clock, Effect, Redacted } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { InvalidArgument, PermissionDenied } from "../domain/Errors.ts"
import type { GatewayMessage, SupervisorMessage } from "../domain/Session.ts"
import type { InferenceBundle, IssuedToken, MainExit, TokenRefresh } from "../domain/SupervisorCalls.ts"
import { SessionStream } from "../edge/SessionStream.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { openShellAccess as access, inferenceAccess } from "./Access.ts"
import { sandboxById } from "./Lookup.ts"
import { type Exchange, Lasting, streaming, unary } from "./Operation.ts"
import { ownSandbox, type Principal } from "./Principal.ts"

const sandboxOf = (principal: Principal): Effect.Effect<string, PermissionDenied> =>
  principal.kind === "sandbox"
    ? Effect.succeed(principal.sandboxId)
    : Effect.fail(new PermissionDenied({ message: "supervisor RPCs require a sandbox principal" }))

const connectSupervisor = streaming(
  access.connectSupervisor,
  (exchange: Exchange<SupervisorMessage, GatewayMessage>, { principal }) =>
    Effect.gen(function* () {
      const sandboxId = yield* sandboxOf(principal)
      const sessions = yield* SessionStream
      return new Lasting(yield* sessions.run(sandboxId, exchange.call, exchange.encode, exchange.receive))
    }),
)

const reportMainProcessExit = unary(access.reportMainProcessExit, (exit: MainExit, { principal }) =>
  Effect.gen(function* () {
    if (exit.sandboxId === "") return yield* new InvalidArgument({ message: "sandbox_id is required" })
    if (exit.instanceId === "") return yield* new InvalidArgument({ message: "instance_id is required" })
    yield* ownSandbox(principal, exit.sandboxId)
    const actors = yield* SandboxActors
    yield* actors.ask(exit.sandboxId, (actor) =>
      actor.ReportExit({ instanceId: exit.instanceId, exitCode: exit.exitCode }),
    )
    return undefined
  }),
)

const getSandboxProviderEnvironment = unary(
  access.getSandboxProviderEnvironment,
  (sandboxId: string, caller) =>
    Effect.gen(function* () {
      yield* sandboxById(caller, sandboxId)
      // Providers come with a later release; a sandbox without any has an empty environment.
      return undefined
    }),
)

const refreshSandboxToken = unary(
  access.refreshSandboxToken,
  ({ extensionServiceNames }: TokenRefresh, caller) =>
    Effect.gen(function* () {
      const sandboxId = yield* sandboxOf(caller.principal)
      if (extensionServiceNames.length > 0)
        return yield* new PermissionDenied({
          message: `extension service '${extensionServiceNames[0]}' is not selected by the sandbox policy`,
        })
      yield* sandboxById(caller, sandboxId)
      const tokens = yield* SandboxTokens
      const { token, expiresAtMs } = yield* tokens.mint(sandboxId)
      return { token: Redacted.value(token), expiresAtMs } satisfies IssuedToken
    }),
)

const getInferenceBundle = unary(inferenceAccess.getInferenceBundle, (_: unknown, caller) =>
  Effect.gen(function* () {
    yield* sandboxById(caller, yield* sandboxOf(caller.principal))
    const generatedAtMs = yield* Clock.currentTimeMillis
    return { revision: "0".repeat(16), generatedAtMs } satisfies InferenceBundle
  }),
)

export const supervisorOperations = {
  connect: connectSupervisor,
  reportExit: reportMainProcessExit,
  providerEnvironment: getSandboxProviderEnvironment,
  refreshToken: refreshSandboxToken,
  inferenceBundle: getInferenceBundle,
}
