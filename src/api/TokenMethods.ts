/** Tokens of sandboxes: the first one, and fresh ones for a sandbox that shows its own. */
import { Clock, Effect, Redacted } from "effect"
import { ExtensionTokens } from "../auth/ExtensionTokens.ts"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { FailedPrecondition, PermissionDenied } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { ExtensionCredential, RefreshedToken, TokenRefresh } from "../domain/SupervisorCalls.ts"
import { Configuration } from "../policy/Configuration.ts"
import { openShellAccess as access } from "./Access.ts"
import { Extensions } from "./Extensions.ts"
import { sandboxById } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { sandboxOf } from "./Principal.ts"
import { refuse } from "./Validate.ts"

/**
 * For a pod that has nothing but its Kubernetes account. Such a token is not one of the gateway's own, so that
 * whoever gets here has a token already; without Kubernetes nobody else can.
 */
const issue = unary(access.issueSandboxToken, (_: unknown, { principal }) =>
  Effect.gen(function* () {
    yield* sandboxOf(principal)
    return yield* new PermissionDenied({
      message: "this principal cannot mint a sandbox token; use RefreshSandboxToken",
    })
  }),
)

const refusalOfNames = (names: ReadonlyArray<string>): string | undefined => {
  if (names.length > limits.extensionNames)
    return `at most ${limits.extensionNames} extension service names are allowed`
  if (names.includes("")) return "extension service names must not be empty"
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? undefined : `duplicate extension service name '${twice}'`
}

/** The services that the policy in force sends traffic through. */
const selected = (sandbox: Sandbox) =>
  Effect.map(
    Effect.flatMap(Configuration, (configuration) => configuration.of(sandbox)),
    ({ policy }) =>
      new Set(Object.values(policy?.networkMiddlewares ?? {}).map(({ middleware }) => middleware ?? "")),
  )

const extensionCredentials = (sandbox: Sandbox, names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const refusal = refusalOfNames(names)
    if (refusal !== undefined) return yield* refuse(refusal)
    const extensions = yield* Extensions
    const known = yield* selected(sandbox)
    const audiences: Array<readonly [name: string, audience: string]> = []
    for (const name of names) {
      const service = extensions.service(name)
      if (service === undefined || !known.has(name))
        return yield* new PermissionDenied({
          message: `extension service '${name}' is not selected by the sandbox policy`,
        })
      if (service.audience === undefined)
        return yield* new FailedPrecondition({
          message: `extension service '${name}' takes no credentials`,
        })
      audiences.push([name, service.audience])
    }
    yield* extensions.admit(sandbox.id, yield* Clock.currentTimeMillis)
    const tokens = yield* ExtensionTokens
    return yield* Effect.forEach(audiences, ([serviceName, audience]) =>
      Effect.map(
        tokens.mint(sandbox.id, audience),
        ({ token, expiresAtMs }): ExtensionCredential => ({
          serviceName,
          token: Redacted.value(token),
          expiresAtMs,
        }),
      ),
    )
  })

const refresh = unary(access.refreshSandboxToken, ({ extensionServiceNames }: TokenRefresh, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(caller, yield* sandboxOf(caller.principal))
    const credentials =
      extensionServiceNames.length === 0 ? [] : yield* extensionCredentials(sandbox, extensionServiceNames)
    const tokens = yield* SandboxTokens
    const { token, expiresAtMs } = yield* tokens.mint(sandbox.id)
    return {
      token: Redacted.value(token),
      expiresAtMs,
      extensionCredentials: credentials,
    } satisfies RefreshedToken
  }),
)

export const tokenOperations = { issue, refresh }
