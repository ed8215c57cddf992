/** Endpoints of services. They go with their sandbox. */
import { randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { NotFound, type Unavailable } from "../domain/Errors.ts"
import type { ServiceEndpoint, ServiceName } from "../domain/Service.ts"
import { makeAnnounce } from "./Announce.ts"
import type { Database } from "./Database.ts"
import { guard, isMissingParent } from "./SqlErrors.ts"

export interface EndpointQuery {
  /** None: all workspaces. */
  readonly workspace: Option.Option<string>
  /** The sandbox's name; none: all sandboxes. */
  readonly sandbox: Option.Option<string>
  readonly limit: number
  readonly offset: number
}

/** Which sandbox, and where in it. */
export interface Exposure {
  readonly sandboxId: string
  /** Empty for the unnamed endpoint. */
  readonly serviceName: string
  readonly targetPort: number
}

export class Services extends Context.Tag("holdfast/Services")<
  Services,
  {
    /** Adds the endpoint or gives it another port. Fails when the sandbox is gone. */
    readonly expose: (exposure: Exposure) => Effect.Effect<void, NotFound | Unavailable>
    readonly find: (name: ServiceName) => Effect.Effect<Option.Option<ServiceEndpoint>, Unavailable>
    /** Oldest first, equal ages by id. */
    readonly list: (query: EndpointQuery) => Effect.Effect<ReadonlyArray<ServiceEndpoint>, Unavailable>
    /** Whether there was one. */
    readonly remove: (endpoint: ServiceEndpoint) => Effect.Effect<boolean, Unavailable>
  }
>() {}

const Rows = Schema.Array(
  Schema.Struct({
    id: Schema.String,
    workspace: Schema.String,
    sandbox_id: Schema.String,
    sandbox_name: Schema.String,
    service_name: Schema.String,
    target_port: Schema.Number,
    created_at_ms: Schema.Number,
    resource_version: Schema.Number,
  }),
)

const decode = (rows: unknown) =>
  Effect.map(Schema.decodeUnknown(Rows)(rows), (found) =>
    found.map(
      (row): ServiceEndpoint => ({
        id: row.id,
        workspace: row.workspace,
        sandboxId: row.sandbox_id,
        sandboxName: row.sandbox_name,
        serviceName: row.service_name,
        targetPort: row.target_port,
        createdAtMs: row.created_at_ms,
        resourceVersion: row.resource_version,
      }),
    ),
  )

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const announce = yield* makeAnnounce

  const selected = sql`SELECT service_endpoints.*, sandboxes.workspace, sandboxes.name AS sandbox_name
    FROM service_endpoints JOIN sandboxes ON sandboxes.id = service_endpoints.sandbox_id`

  const expose = ({ sandboxId, serviceName, targetPort }: Exposure) =>
    Effect.gen(function* () {
      const row = {
        id: randomUUID(),
        sandbox_id: sandboxId,
        service_name: serviceName,
        target_port: targetPort,
        created_at_ms: yield* Clock.currentTimeMillis,
        resource_version: 1,
      }
      // One statement that needs no reading before: there is nothing to be lost to a concurrent change.
      yield* announce(
        "service",
        sandboxId,
        sql<object>`INSERT INTO service_endpoints ${sql.insert(row)}
          ON CONFLICT (sandbox_id, service_name) DO UPDATE
          SET target_port = excluded.target_port, resource_version = service_endpoints.resource_version + 1
          RETURNING id`,
      ).pipe(
        Effect.catchIf(isMissingParent, () => Effect.fail(new NotFound({ message: "sandbox not found" }))),
      )
    })

  const find = ({ workspace, sandbox, service }: ServiceName) =>
    Effect.map(
      Effect.flatMap(
        sql`${selected} WHERE sandboxes.workspace = ${workspace} AND sandboxes.name = ${sandbox}
          AND service_endpoints.service_name = ${service}`,
        decode,
      ),
      ([endpoint]) => Option.fromNullable(endpoint),
    )

  const list = ({ workspace, sandbox, limit, offset }: EndpointQuery) => {
    const conditions = [
      ...Option.toArray(workspace).map((name) => sql`sandboxes.workspace = ${name}`),
      ...Option.toArray(sandbox).map((name) => sql`sandboxes.name = ${name}`),
    ]
    const where = conditions.length === 0 ? sql`` : sql`WHERE ${sql.and(conditions)}`
    return Effect.flatMap(
      sql`${selected} ${where}
        ORDER BY service_endpoints.created_at_ms, service_endpoints.id LIMIT ${limit} OFFSET ${offset}`,
      decode,
    )
  }

  const remove = ({ id, sandboxId }: ServiceEndpoint) =>
    Effect.map(
      announce(
        "service",
        sandboxId,
        sql<object>`DELETE FROM service_endpoints WHERE id = ${id} RETURNING id`,
      ),
      (rows) => rows.length > 0,
    )

  return Services.of({
    expose: (exposure) => expose(exposure).pipe(guard("service expose")),
    find: (name) => find(name).pipe(guard("service find")),
    list: (query) => list(query).pipe(guard("service list")),
    remove: (endpoint) => remove(endpoint).pipe(guard("service remove")),
  })
})

export const layer: Layer.Layer<Services, never, SqlClient.SqlClient | Database> = Layer.effect(
  Services,
  make,
)
