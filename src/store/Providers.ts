/** Provider records. Credentials come and go sealed; this layer cannot open them. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Option, Schema } from "effect"
import {
  AlreadyExists,
  type Conflict,
  concurrentModification,
  type FailedPrecondition,
  NotFound,
  type Unavailable,
} from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { decodeProviders, encodeProvider, type StoredProvider } from "./ProviderRow.ts"
import { guard } from "./SqlErrors.ts"
import { refuseClosed, workspaceOpen } from "./WorkspaceContents.ts"

export type { StoredProvider } from "./ProviderRow.ts"

export interface ProviderPage {
  /** None: all workspaces. */
  readonly workspace: Option.Option<string>
  readonly limit: number
  readonly offset: number
}

export class Providers extends Context.Tag("holdfast/Providers")<
  Providers,
  {
    /** Fails when the name is taken in the workspace, or the workspace is not there. */
    readonly insert: (
      provider: StoredProvider,
    ) => Effect.Effect<StoredProvider, AlreadyExists | NotFound | FailedPrecondition | Unavailable>
    readonly getByName: (
      workspace: string,
      name: string,
    ) => Effect.Effect<Option.Option<StoredProvider>, Unavailable>
    /** Those of the names that exist, in the order of the names. */
    readonly named: (
      workspace: string,
      names: ReadonlyArray<string>,
    ) => Effect.Effect<ReadonlyArray<StoredProvider>, Unavailable>
    /** The same; inside a transaction they can be neither changed nor removed until its end. */
    readonly held: (
      workspace: string,
      names: ReadonlyArray<string>,
    ) => Effect.Effect<ReadonlyArray<StoredProvider>, Unavailable>
    /** Oldest first, equal ages by id. */
    readonly list: (page: ProviderPage) => Effect.Effect<ReadonlyArray<StoredProvider>, Unavailable>
    /** Replaces it if the stored version is still `next.resourceVersion`; returns it with its new version. */
    readonly update: (
      next: StoredProvider,
    ) => Effect.Effect<StoredProvider, Conflict | NotFound | Unavailable>
    /** Whether there was one. */
    readonly remove: (workspace: string, name: string) => Effect.Effect<boolean, Unavailable>
    /** Some whose credentials are sealed under another key than this. */
    readonly sealedOtherwise: (
      encryptionKey: string,
    ) => Effect.Effect<ReadonlyArray<StoredProvider>, Unavailable>
    /** Replaces the seal alone, if it is still `from`; the version stays, because nothing else changed. */
    readonly reseal: (
      id: string,
      from: string,
      to: Pick<StoredProvider, "sealedCredentials" | "encryptionKey">,
    ) => Effect.Effect<boolean, Unavailable>
  }
>() {}

const Versions = Schema.Array(Schema.Struct({ resource_version: Schema.Number }))

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const insert = (provider: StoredProvider) =>
    Effect.gen(function* () {
      const stored = { ...provider, resourceVersion: 1 }
      const row = Object.entries(encodeProvider(stored))
      const rows = yield* sql`INSERT INTO providers (${sql.csv(row.map(([column]) => sql`${sql(column)}`))})
        SELECT ${sql.csv(row.map(([, value]) => sql`${value}`))}
        WHERE ${workspaceOpen(sql, provider.workspace)}
        ON CONFLICT DO NOTHING RETURNING id`
      if (rows.length > 0) return stored
      yield* refuseClosed(sql, provider.workspace)
      return yield* new AlreadyExists({ message: "provider already exists" })
    })

  const getByName = (workspace: string, name: string) =>
    sql`SELECT * FROM providers WHERE workspace = ${workspace} AND name = ${name}`.pipe(
      Effect.flatMap(decodeProviders),
      Effect.map(([found]) => Option.fromNullable(found)),
    )

  const named = (workspace: string, names: ReadonlyArray<string>, lock: boolean) => {
    if (names.length === 0) return Effect.succeed([])
    const locking = sql.onDialectOrElse({
      pg: () => (lock ? sql`ORDER BY name FOR SHARE` : sql``),
      orElse: () => sql``,
    })
    return sql`SELECT * FROM providers WHERE workspace = ${workspace} AND ${sql.in("name", names)} ${locking}`.pipe(
      Effect.flatMap(decodeProviders),
      Effect.map((found) =>
        names.flatMap((name) => found.filter((provider) => provider.name === name).slice(0, 1)),
      ),
    )
  }

  const list = ({ workspace, limit, offset }: ProviderPage) => {
    const where = Option.isSome(workspace) ? sql`WHERE workspace = ${workspace.value}` : sql``
    return Effect.flatMap(
      sql`SELECT * FROM providers ${where} ORDER BY created_at_ms, id LIMIT ${limit} OFFSET ${offset}`,
      decodeProviders,
    )
  }

  const update = (next: StoredProvider) =>
    Effect.gen(function* () {
      const stored = { ...next, resourceVersion: next.resourceVersion + 1 }
      const { id, workspace: _, name: __, created_at_ms: ___, ...columns } = encodeProvider(stored)
      const rows = yield* sql`UPDATE providers SET ${sql.update(columns, [])}
        WHERE id = ${id} AND resource_version = ${next.resourceVersion} RETURNING id`
      if (rows.length > 0) return stored
      const [found] = yield* sql`SELECT resource_version FROM providers WHERE id = ${id}`.pipe(
        Effect.flatMap(Schema.decodeUnknown(Versions)),
      )
      if (found === undefined) return yield* new NotFound({ message: "provider not found" })
      return yield* concurrentModification("provider update", found.resource_version)
    })

  return Providers.of({
    insert: (provider) => insert(provider).pipe(guard("provider insert")),
    getByName: (workspace, name) => getByName(workspace, name).pipe(guard("provider get")),
    named: (workspace, names) => named(workspace, names, false).pipe(guard("providers by name")),
    held: (workspace, names) => named(workspace, names, true).pipe(guard("providers held")),
    list: (page) => list(page).pipe(guard("provider list")),
    update: (next) => update(next).pipe(guard("provider update")),
    remove: (workspace, name) =>
      sql`DELETE FROM providers WHERE workspace = ${workspace} AND name = ${name} RETURNING id`.pipe(
        Effect.map((rows) => rows.length > 0),
        guard("provider remove"),
      ),
    sealedOtherwise: (encryptionKey) =>
      sql`SELECT * FROM providers WHERE encryption_key <> ${encryptionKey}
        ORDER BY encryption_key, id LIMIT ${limits.credentialRotationBatch}`.pipe(
        Effect.flatMap(decodeProviders),
        guard("providers to reseal"),
      ),
    reseal: (id, from, to) =>
      sql`UPDATE providers SET ${sql.update(
        { sealed_credentials: to.sealedCredentials, encryption_key: to.encryptionKey },
        [],
      )} WHERE id = ${id} AND sealed_credentials = ${from} RETURNING id`.pipe(
        Effect.map((rows) => rows.length > 0),
        guard("provider reseal"),
      ),
  })
})

export const layer: Layer.Layer<Providers, never, SqlClient.SqlClient> = Layer.effect(Providers, make)
