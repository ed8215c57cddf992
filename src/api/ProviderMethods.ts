/** Providers: create, look at, change, delete. Their credentials come in and never go out. */
import { randomUUID } from "node:crypto"
import { Clock, Effect, Option } from "effect"
import { CredentialVault, placeOf } from "../auth/CredentialVault.ts"
import {
  concurrentModification,
  FailedPrecondition,
  type InvalidArgument,
  NotFound,
  type Unavailable,
  Unimplemented,
} from "../domain/Errors.ts"
import type {
  ProviderDraft,
  ProviderFields,
  ProviderName,
  ProviderQuery,
  RefreshQuery,
  RefreshStatus,
} from "../domain/Provider.ts"
import { Attachments } from "../store/Attachments.ts"
import { transaction } from "../store/Database.ts"
import { Providers, type StoredProvider } from "../store/Providers.ts"
import { openShellAccess as access } from "./Access.ts"
import { inWorkspace, listedWorkspace } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { petname } from "./Petname.ts"
import { together } from "./ProviderAttachment.ts"
import { changed } from "./ProviderChange.ts"
import { refusalOfProvider } from "./ProviderValidation.ts"
import * as Validate from "./Validate.ts"

const required = ({ provider }: ProviderDraft): Effect.Effect<ProviderFields, InvalidArgument> =>
  provider === undefined ? Validate.refuse("provider is required") : Effect.succeed(provider)

const valid = (fields: ProviderFields): Effect.Effect<void, InvalidArgument> => {
  const refusal = refusalOfProvider(fields)
  return refusal === undefined
    ? Validate.metadata(fields.labels, fields.annotations)
    : Effect.fail(Validate.refuse(refusal))
}

/** Sealed for the row of that id. */
const sealedIn = (id: string, { credentials, credentialExpiresAtMs }: ProviderFields) =>
  Effect.gen(function* () {
    const vault = yield* CredentialVault
    const sealedCredentials = yield* vault.sealed(placeOf(id), credentials)
    return {
      credentialKeys: Object.keys(credentials).toSorted(),
      credentialExpiresAtMs,
      sealedCredentials,
      encryptionKey: vault.current ?? "",
    }
  })

const create = unary(access.createProvider, (draft: ProviderDraft, caller) =>
  Effect.gen(function* () {
    const given = yield* required(draft)
    const expiries = Object.entries(given.credentialExpiresAtMs).filter(([, expiresAtMs]) => expiresAtMs > 0)
    const fields = {
      ...given,
      name: given.name === "" ? petname() : given.name,
      credentialExpiresAtMs: Object.fromEntries(expiries),
    }
    yield* valid(fields)
    const workspace = yield* inWorkspace(caller, draft.workspace)
    const { name, type, labels, annotations, config, profileWorkspace } = fields
    const id = randomUUID()
    const secrets = yield* sealedIn(id, fields)
    const createdAtMs = yield* Clock.currentTimeMillis
    return yield* (yield* Providers).insert({
      ...{ id, workspace, name, type, labels, annotations, config, profileWorkspace, createdAtMs },
      ...secrets,
      resourceVersion: 1,
    })
  }),
)

const named = (
  workspace: string,
  name: string,
): Effect.Effect<StoredProvider, NotFound | Unavailable, Providers> =>
  Effect.flatMap(Providers, (providers) => providers.getByName(workspace, name)).pipe(
    Effect.flatMap(
      Option.match({
        onNone: () => Effect.fail(new NotFound({ message: "provider not found" })),
        onSome: Effect.succeed,
      }),
    ),
  )

const get = unary(access.getProvider, ({ name, workspace }: ProviderName, caller) =>
  name === ""
    ? Validate.refuse("name is required")
    : Effect.flatMap(inWorkspace(caller, workspace), (known) => named(known, name)),
)

const list = unary(access.listProviders, (query: ProviderQuery, caller) =>
  Effect.gen(function* () {
    yield* Validate.unfiltered(query.allWorkspaces, { workspace: query.workspace })
    const workspace = yield* listedWorkspace(caller, query)
    const page = { workspace, limit: Validate.pageLimit(query.limit), offset: query.offset }
    return yield* (yield* Providers).list(page)
  }),
)

/**
 * Refuses a change that would set one variable twice in a sandbox, and tells the sandboxes of it. The providers
 * beside it are held: of two changes that disagree, the database ends one.
 */
const agreeWithHolders = (provider: StoredProvider) =>
  Effect.gen(function* () {
    const providers = yield* Providers
    const attachments = yield* Attachments
    const holders = yield* attachments.holders(provider.workspace, provider.name)
    const names = new Set(holders.flatMap(({ spec }) => spec.providers))
    const beside = yield* providers.held(provider.workspace, [...names])
    for (const { spec } of holders)
      yield* together(
        spec.providers,
        beside.filter(({ name }) => spec.providers.includes(name)),
      )
    yield* attachments.announce(holders.map(({ id }) => id))
  })

const update = unary(access.updateProvider, (draft: ProviderDraft, caller) =>
  Effect.gen(function* () {
    const given = yield* required(draft)
    if (given.name === "") return yield* Validate.refuse("provider.name is required")
    const workspace = yield* inWorkspace(caller, draft.workspace)
    const stored = yield* named(workspace, given.name)
    const { resourceVersion } = stored
    if (given.type !== "" && given.type !== stored.type)
      return yield* Validate.refuse("provider.type cannot be changed")
    if (given.resourceVersion !== 0 && given.resourceVersion !== resourceVersion)
      return yield* concurrentModification("provider update", resourceVersion)
    const vault = yield* CredentialVault
    const secrets = yield* vault.opened(placeOf(stored.id), stored.sealedCredentials)
    const fields = changed(stored, secrets, given)
    yield* valid(fields)
    const { labels, annotations, config, profileWorkspace } = fields
    const next = {
      ...stored,
      ...{ labels, annotations, config, profileWorkspace },
      ...(yield* sealedIn(stored.id, fields)),
    }
    return yield* transaction(
      Effect.flatMap(Providers, (providers) => providers.update(next)).pipe(Effect.tap(agreeWithHolders)),
    )
  }),
)

const remove = unary(access.deleteProvider, ({ name, workspace }: ProviderName, caller) =>
  Effect.gen(function* () {
    if (name === "") return yield* Validate.refuse("name is required")
    const known = yield* inWorkspace(caller, workspace)
    const providers = yield* Providers
    const attachments = yield* Attachments
    return yield* transaction(
      Effect.gen(function* () {
        const removed = yield* providers.remove(known, name)
        const holders = yield* attachments.holders(known, name)
        if (removed && holders.length > 0)
          return yield* new FailedPrecondition({
            message: `provider '${name}' is attached to sandboxes: ${holders.map((holder) => holder.name).join(", ")}`,
          })
        return removed
      }),
    )
  }),
)

/** Credentials are renewed by whoever updates the provider. */
const refreshStatus = unary(access.getProviderRefreshStatus, (query: RefreshQuery, caller) =>
  Effect.gen(function* () {
    if (query.provider === "") return yield* Validate.refuse("provider is required")
    const provider = yield* named(yield* inWorkspace(caller, query.workspace), query.provider)
    const keys = provider.credentialKeys.filter((key) => ["", key].includes(query.credentialKey))
    if (query.credentialKey !== "" && keys.length === 0)
      return yield* new NotFound({ message: `credential '${query.credentialKey}' not found` })
    const nowMs = yield* Clock.currentTimeMillis
    return keys.map((credentialKey): RefreshStatus => {
      const expiresAtMs = provider.credentialExpiresAtMs[credentialKey] ?? 0
      return {
        providerName: provider.name,
        providerId: provider.id,
        credentialKey,
        status: expiresAtMs > 0 && expiresAtMs <= nowMs ? "expired" : "static",
        expiresAtMs,
      }
    })
  }),
)

const missing = (feature: string) =>
  Effect.fail(new Unimplemented({ message: `${feature} is not implemented by this gateway` }))
const refreshFeature = "provider credential refresh"

export const providerOperations = {
  create,
  get,
  list,
  update,
  delete: remove,
  refreshStatus,
  configureRefresh: unary(access.configureProviderRefresh, () => missing(refreshFeature)),
  rotateCredential: unary(access.rotateProviderCredential, () => missing(refreshFeature)),
  deleteRefresh: unary(access.deleteProviderRefresh, () => missing(refreshFeature)),
}
