/** Providers of a sandbox: list, attach, detach; and the environment that they give it. */
import { Clock, Effect, Option, Schedule } from "effect"
import { CredentialVault, placeOf } from "../auth/CredentialVault.ts"
import { Conflict, concurrentModification, type InvalidArgument, NotFound } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Attachment, AttachmentChange, ProviderName } from "../domain/Provider.ts"
import { compose, type EnvironmentQuery, type ProviderEnvironment } from "../domain/ProviderEnvironment.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { Attachments } from "../store/Attachments.ts"
import { transaction } from "../store/Database.ts"
import { Providers } from "../store/Providers.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { openShellAccess as access } from "./Access.ts"
import type { Caller } from "./Lookup.ts"
import { sandboxById, sandboxByName } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { requireAttachable, together } from "./ProviderAttachment.ts"
import { refuse } from "./Validate.ts"

const sandboxOf = (caller: Caller, name: string, workspace: string) =>
  name === "" ? Effect.fail(refuse("sandbox_name is required")) : sandboxByName(caller, name, workspace)

const ofSandbox = unary(access.listSandboxProviders, ({ name, workspace }: ProviderName, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxOf(caller, name, workspace)
    return yield* (yield* Providers).named(sandbox.workspace, sandbox.spec.providers)
  }),
)

const valid = ({ providerName }: Attachment): Effect.Effect<void, InvalidArgument> => {
  if (providerName === "") return refuse("provider_name is required")
  return providerName.length > limits.objectNameLength
    ? refuse(`provider_name exceeds ${limits.objectNameLength} characters`)
    : Effect.void
}

/** Undefined: there is nothing to change. */
type Change = (providers: ReadonlyArray<string>) => ReadonlyArray<string> | undefined

const casAgain = Schedule.recurs(limits.configAttempts - 1)

/** A compare-and-swap of the sandbox's providers; a caller who names no version is not told of others' writes. */
const changing =
  (verb: "attach" | "detach", change: (name: string) => Change) => (request: Attachment, caller: Caller) =>
    Effect.gen(function* () {
      yield* valid(request)
      const { id } = yield* sandboxOf(caller, request.sandboxName, request.workspace)
      const expected = request.expectedResourceVersion
      const once = transaction(
        Effect.gen(function* () {
          const sandboxes = yield* Sandboxes
          const found = yield* sandboxes.get(id)
          if (Option.isNone(found)) return yield* new NotFound({ message: "sandbox not found" })
          const sandbox = found.value
          if (expected !== 0 && expected !== sandbox.resourceVersion)
            return yield* concurrentModification(`provider ${verb}`, sandbox.resourceVersion)
          const providers = change(request.providerName)(sandbox.spec.providers)
          if (providers === undefined) return { sandbox, changed: false } satisfies AttachmentChange
          if (verb === "attach") {
            if (providers.length > limits.sandboxProviders)
              return yield* refuse(`a sandbox may have at most ${limits.sandboxProviders} providers`)
            yield* requireAttachable(sandbox.workspace, providers)
          }
          const next: Sandbox = yield* sandboxes.update({ ...sandbox, spec: { ...sandbox.spec, providers } })
          yield* (yield* Attachments).announce([id])
          return { sandbox: next, changed: true } satisfies AttachmentChange
        }),
      )
      return yield* once.pipe(
        Effect.retry({ schedule: casAgain, while: ({ _tag }) => _tag === "Conflict" && expected === 0 }),
        // Only a fenced write finds a stale epoch, and this one has no fence.
        Effect.catchTag("StaleEpoch", ({ message }) => Effect.fail(new Conflict({ message }))),
      )
    })

const attach = unary(
  access.attachSandboxProvider,
  changing("attach", (name) => (names) => (names.includes(name) ? undefined : [...names, name])),
)

const detach = unary(
  access.detachSandboxProvider,
  changing(
    "detach",
    (name) => (names) => (names.includes(name) ? names.filter((other) => other !== name) : undefined),
  ),
)

const environment = unary(access.getSandboxProviderEnvironment, (query: EnvironmentQuery, caller) =>
  Effect.gen(function* () {
    const { workspace, spec } = yield* sandboxById(caller, query.sandboxId)
    const nowMs = yield* Clock.currentTimeMillis
    const providers = yield* Providers
    const attached = yield* together(spec.providers, yield* providers.named(workspace, spec.providers))
    const vault = yield* CredentialVault
    const credentials = yield* Effect.forEach(attached, ({ id, sealedCredentials }) =>
      Effect.map(vault.opened(placeOf(id), sealedCredentials), (secrets) => [id, secrets] as const),
    )
    const composed: ProviderEnvironment = compose(attached, new Map(credentials), nowMs)
    return query.supportsStaticCredentialBindings ? composed : { ...composed, staticCredentialBindings: {} }
  }),
)

export const attachmentOperations = { ofSandbox, attach, detach, environment }
