/** What supervisors call besides relays and logs: the session, configuration, exit, tokens. */
import { createHash } from "node:crypto"
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf"
import { Clock, Effect, Redacted } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { InvalidArgument, PermissionDenied } from "../domain/Errors.ts"
import { SessionStream } from "../edge/SessionStream.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { Inference, OpenShell, PolicySource, SandboxPolicySchema } from "../wire/OpenShell.ts"
import { openShellAccess as access, inferenceAccess } from "./Access.ts"
import { Lasting, streaming, unary } from "./Endpoint.ts"
import { byId } from "./Lookup.ts"
import { ownSandbox, type Principal } from "./Principal.ts"

const { method } = OpenShell

const sandboxOf = (principal: Principal): Effect.Effect<string, PermissionDenied> =>
  principal.kind === "sandbox"
    ? Effect.succeed(principal.sandboxId)
    : Effect.fail(new PermissionDenied({ message: "supervisor RPCs require a sandbox principal" }))

const connectSupervisor = streaming(
  method.connectSupervisor,
  access.connectSupervisor,
  (typed, { principal }) =>
    Effect.gen(function* () {
      const sandboxId = yield* sandboxOf(principal)
      const sessions = yield* SessionStream
      return new Lasting(yield* sessions.run(sandboxId, typed.call, typed.receive))
    }),
)

const reportMainProcessExit = unary(
  method.reportMainProcessExit,
  access.reportMainProcessExit,
  (request, { principal }) =>
    Effect.gen(function* () {
      if (request.sandboxId === "") return yield* new InvalidArgument({ message: "sandbox_id is required" })
      if (request.instanceId === "") return yield* new InvalidArgument({ message: "instance_id is required" })
      yield* ownSandbox(principal, request.sandboxId)
      const actors = yield* SandboxActors
      yield* actors.ask(request.sandboxId, (actor) =>
        actor.ReportExit({ instanceId: request.instanceId, exitCode: request.exitCode }),
      )
      return {}
    }),
)

const emptyRevision = 0n

/** First eight bytes of a SHA-256, little-endian: a change detector that supervisors compare and nothing more. */
const revisionOf = (bytes: Uint8Array): bigint =>
  createHash("sha256").update(bytes).digest().readBigUInt64LE(0)

const getSandboxConfig = unary(method.getSandboxConfig, access.getSandboxConfig, (request, { principal }) =>
  Effect.gen(function* () {
    yield* ownSandbox(principal, request.sandboxId)
    const sandbox = yield* byId(request.sandboxId)
    const common = {
      policySource: PolicySource.SANDBOX,
      workspace: sandbox.workspace,
      policyValidationFailureMode: "fail_closed",
      providerEnvRevision: emptyRevision,
    }
    if (sandbox.spec.policy === undefined) return { ...common, version: 0, configRevision: emptyRevision }
    const policy = fromJson(SandboxPolicySchema, sandbox.spec.policy as JsonValue, {
      ignoreUnknownFields: true,
    })
    const bytes = toBinary(SandboxPolicySchema, policy)
    return {
      ...common,
      policy,
      version: 1,
      policyHash: createHash("sha256").update(bytes).digest("hex"),
      configRevision: revisionOf(bytes),
    }
  }),
)

const getSandboxProviderEnvironment = unary(
  method.getSandboxProviderEnvironment,
  access.getSandboxProviderEnvironment,
  (request, { principal }) =>
    Effect.gen(function* () {
      yield* ownSandbox(principal, request.sandboxId)
      yield* byId(request.sandboxId)
      // Providers come with a later release; a sandbox without any has an empty environment.
      return { providerEnvRevision: emptyRevision }
    }),
)

const refreshSandboxToken = unary(
  method.refreshSandboxToken,
  access.refreshSandboxToken,
  (request, { principal }) =>
    Effect.gen(function* () {
      const sandboxId = yield* sandboxOf(principal)
      if (request.extensionServiceNames.length > 0)
        return yield* new PermissionDenied({
          message: `extension service '${request.extensionServiceNames[0]}' is not selected by the sandbox policy`,
        })
      yield* byId(sandboxId)
      const tokens = yield* SandboxTokens
      const { token, expiresAtMs } = yield* tokens.mint(sandboxId)
      return { token: Redacted.value(token), expiresAtMs: BigInt(expiresAtMs) }
    }),
)

const getInferenceBundle = unary(
  Inference.method.getInferenceBundle,
  inferenceAccess.getInferenceBundle,
  (_, { principal }) =>
    Effect.gen(function* () {
      yield* byId(yield* sandboxOf(principal))
      const nowMs = yield* Clock.currentTimeMillis
      return { routes: [], revision: "0".repeat(16), generatedAtMs: BigInt(nowMs) }
    }),
)

export const supervisorEndpoints = [
  connectSupervisor,
  reportMainProcessExit,
  getSandboxConfig,
  getSandboxProviderEnvironment,
  refreshSandboxToken,
  getInferenceBundle,
]
