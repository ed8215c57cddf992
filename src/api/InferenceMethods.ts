/** Inference routes, and the bundle of them that a sandbox polls. */
import { createHash } from "node:crypto"
import { Clock, Effect, Option } from "effect"
import { CredentialVault, placeOf } from "../auth/CredentialVault.ts"
import { FailedPrecondition, type InvalidArgument, NotFound } from "../domain/Errors.ts"
import {
  type InferenceBundle,
  type InferenceRoute,
  isRouteName,
  type ResolvedRoute,
  type RouteDraft,
  type RouteName,
  type RouteQuery,
  type RouteSet,
  routeNames,
} from "../domain/Inference.ts"
import { profileOf } from "../domain/ProviderProfiles.ts"
import { InferenceRoutes } from "../store/InferenceRoutes.ts"
import { Providers, type StoredProvider } from "../store/Providers.ts"
import { inferenceAccess as access } from "./Access.ts"
import { probe } from "./InferenceProbe.ts"
import { inWorkspace } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { sandboxOf } from "./Principal.ts"
import { providerMissing } from "./ProviderAttachment.ts"
import { refusalOfBaseUrl, refusalOfModel } from "./ProviderValidation.ts"
import { refuse } from "./Validate.ts"

const broken = (message: string) => new FailedPrecondition({ message })

const routeNameOf = (name: string): Effect.Effect<RouteName, InvalidArgument> => {
  const asked = name === "" ? "inference.local" : name
  return isRouteName(asked)
    ? Effect.succeed(asked)
    : refuse(`unknown inference route '${asked}': expected ${routeNames.join(" or ")}`)
}

/** How a provider is asked for inference, with its key. */
const reach = (provider: StoredProvider) =>
  Effect.gen(function* () {
    const inference = profileOf(provider.type)?.inference
    if (inference === undefined)
      return yield* broken(`provider '${provider.name}' of type '${provider.type}' serves no inference`)
    const baseUrl = provider.config[inference.baseUrlKey] ?? inference.baseUrl
    const refusal = refusalOfBaseUrl(baseUrl)
    if (refusal !== undefined) return yield* refuse(`provider '${provider.name}': ${refusal}`)
    const vault = yield* CredentialVault
    const secrets = yield* vault.opened(placeOf(provider.id), provider.sealedCredentials)
    const nowMs = yield* Clock.currentTimeMillis
    const key = inference.credentialKeys.find((name) => secrets[name] !== undefined)
    const apiKey = key === undefined ? undefined : secrets[key]
    if (key === undefined || apiKey === undefined)
      return yield* broken(`provider '${provider.name}' has no credential '${inference.credentialKeys[0]}'`)
    const expiresAtMs = provider.credentialExpiresAtMs[key] ?? 0
    if (expiresAtMs > 0 && expiresAtMs <= nowMs)
      return yield* broken(`credential '${key}' of provider '${provider.name}' has expired`)
    return { inference, baseUrl, apiKey }
  })

const providerOf = (workspace: string, name: string) =>
  Effect.flatMap(Providers, (providers) => providers.getByName(workspace, name)).pipe(
    Effect.flatMap(
      Option.match({ onNone: () => Effect.fail(providerMissing(name)), onSome: Effect.succeed }),
    ),
  )

const set = unary(access.setInferenceRoute, (draft: RouteDraft, caller) =>
  Effect.gen(function* () {
    const routeName = yield* routeNameOf(draft.routeName)
    const { providerName, modelId, timeoutSecs } = draft
    if (providerName === "") return yield* refuse("provider_name is required")
    const refusal = refusalOfModel(modelId)
    if (refusal !== undefined) return yield* refuse(refusal)
    if (draft.verify && draft.noVerify) return yield* refuse("verify and no_verify are mutually exclusive")
    const workspace = yield* inWorkspace(caller, draft.workspace)
    const { inference, baseUrl, apiKey } = yield* reach(yield* providerOf(workspace, providerName))
    const validatedEndpoints = draft.noVerify ? [] : yield* probe(inference, baseUrl, apiKey)
    const routes = yield* InferenceRoutes
    const route = yield* routes.put({ workspace, routeName, providerName, modelId, timeoutSecs })
    return { route, validationPerformed: !draft.noVerify, validatedEndpoints } satisfies RouteSet
  }),
)

const get = unary(access.getInferenceRoute, (query: RouteQuery, caller) =>
  Effect.gen(function* () {
    const routeName = yield* routeNameOf(query.routeName)
    const workspace = yield* inWorkspace(caller, query.workspace)
    const found = yield* (yield* InferenceRoutes).get(workspace, routeName)
    if (Option.isNone(found))
      return yield* new NotFound({
        message: `inference route '${routeName}' is not configured in workspace '${workspace}'`,
      })
    return found.value
  }),
)

const remove = unary(access.deleteInferenceRoute, (query: RouteQuery, caller) =>
  Effect.gen(function* () {
    const routeName = yield* routeNameOf(query.routeName)
    const workspace = yield* inWorkspace(caller, query.workspace)
    return yield* (yield* InferenceRoutes).remove(workspace, routeName)
  }),
)

const resolved = (route: InferenceRoute) =>
  Effect.gen(function* () {
    const provider = yield* providerOf(route.workspace, route.providerName)
    const { inference, baseUrl, apiKey } = yield* reach(provider).pipe(
      // What was fine when the route was set is the provider's state now, not this caller's mistake.
      Effect.catchTag("InvalidArgument", ({ message }) => Effect.fail(broken(message))),
    )
    return {
      version: [route.id, route.version, provider.id, provider.resourceVersion],
      route: {
        name: route.routeName,
        baseUrl,
        protocols: inference.protocols,
        apiKey,
        modelId: route.modelId,
        providerType: provider.type,
        timeoutSecs: route.timeoutSecs,
      } satisfies ResolvedRoute,
    }
  }).pipe(
    Effect.catchTag("FailedPrecondition", ({ message }) =>
      Effect.fail(broken(`inference route '${route.routeName}' is broken: ${message}`)),
    ),
  )

const revisionOf = (versions: unknown): string =>
  createHash("sha256").update(JSON.stringify(versions)).digest("hex").slice(0, 16)

const bundle = unary(access.getInferenceBundle, (_: unknown, { principal }) =>
  Effect.gen(function* () {
    const id = yield* sandboxOf(principal)
    const routes = yield* (yield* InferenceRoutes).ofSandbox(id)
    if (Option.isNone(routes)) return yield* new NotFound({ message: `sandbox '${id}' not found` })
    const found = yield* Effect.forEach(routes.value, resolved)
    const generatedAtMs = yield* Clock.currentTimeMillis
    return {
      routes: found.map(({ route }) => route),
      revision: revisionOf(found.map(({ version }) => version)),
      generatedAtMs,
    } satisfies InferenceBundle
  }),
)

export const inferenceOperations = { set, get, delete: remove, bundle }
