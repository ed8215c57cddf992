/** Inference routes, one per workspace and name. */
import { randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { type FailedPrecondition, NotFound, type Unavailable } from "../domain/Errors.ts"
import type { InferenceRoute } from "../domain/Inference.ts"
import { workspaceNotFound } from "../domain/Workspace.ts"
import { guard } from "./SqlErrors.ts"
import { refuseClosed, workspaceOpen } from "./WorkspaceContents.ts"

type NewRoute = Omit<InferenceRoute, "id" | "createdAtMs" | "version">

export class InferenceRoutes extends Context.Tag("holdfast/InferenceRoutes")<
  InferenceRoutes,
  {
    /** Makes it, or replaces what it says and raises its version. Fails when the workspace is not there. */
    readonly put: (
      route: NewRoute,
    ) => Effect.Effect<InferenceRoute, NotFound | FailedPrecondition | Unavailable>
    readonly get: (
      workspace: string,
      routeName: string,
    ) => Effect.Effect<Option.Option<InferenceRoute>, Unavailable>
    /** Those of the sandbox's workspace, by name, by one statement; none when there is no such sandbox. */
    readonly ofSandbox: (
      sandboxId: string,
    ) => Effect.Effect<Option.Option<ReadonlyArray<InferenceRoute>>, Unavailable>
    /** Whether there was one. */
    readonly remove: (workspace: string, routeName: string) => Effect.Effect<boolean, Unavailable>
  }
>() {}

const Row = Schema.Struct({
  id: Schema.String,
  workspace: Schema.String,
  route_name: Schema.String,
  provider_name: Schema.String,
  model_id: Schema.String,
  timeout_secs: Schema.Number,
  created_at_ms: Schema.Number,
  version: Schema.Number,
})

const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

const toRoute = (row: typeof Row.Type): InferenceRoute => ({
  id: row.id,
  workspace: row.workspace,
  routeName: row.route_name,
  providerName: row.provider_name,
  modelId: row.model_id,
  timeoutSecs: row.timeout_secs,
  createdAtMs: row.created_at_ms,
  version: row.version,
})

const decode = (rows: unknown) => Effect.map(decodeRows(rows), (found) => found.map(toRoute))

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const put = (route: NewRoute) =>
    Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      const { workspace, routeName, providerName, modelId, timeoutSecs } = route
      const [stored] = yield* sql`INSERT INTO inference_routes
          (id, workspace, route_name, provider_name, model_id, timeout_secs, created_at_ms, version)
        SELECT ${randomUUID()}, ${workspace}, ${routeName}, ${providerName}, ${modelId},
          ${timeoutSecs}, ${nowMs}, 1
        WHERE ${workspaceOpen(sql, workspace)}
        ON CONFLICT (workspace, route_name) DO UPDATE SET
          provider_name = excluded.provider_name, model_id = excluded.model_id,
          timeout_secs = excluded.timeout_secs, version = inference_routes.version + 1
        RETURNING *`.pipe(Effect.flatMap(decode))
      if (stored !== undefined) return stored
      yield* refuseClosed(sql, workspace)
      return yield* new NotFound({ message: workspaceNotFound(workspace) })
    })

  /** A sandbox without routes is one row with nothing of a route in it. */
  const ofSandbox = (sandboxId: string) =>
    Effect.gen(function* () {
      const rows = yield* sql<{ readonly id: string | null }>`SELECT route.* FROM sandboxes
        LEFT JOIN inference_routes AS route ON route.workspace = sandboxes.workspace
        WHERE sandboxes.id = ${sandboxId} ORDER BY route.route_name`
      if (rows.length === 0) return Option.none()
      return Option.some(yield* decode(rows.filter(({ id }) => id !== null)))
    })

  return InferenceRoutes.of({
    put: (route) => put(route).pipe(guard("inference route put")),
    get: (workspace, routeName) =>
      sql`SELECT * FROM inference_routes WHERE workspace = ${workspace} AND route_name = ${routeName}`.pipe(
        Effect.flatMap(decode),
        Effect.map(([found]) => Option.fromNullable(found)),
        guard("inference route get"),
      ),
    ofSandbox: (sandboxId) => ofSandbox(sandboxId).pipe(guard("inference routes")),
    remove: (workspace, routeName) =>
      sql`DELETE FROM inference_routes WHERE workspace = ${workspace} AND route_name = ${routeName}
        RETURNING id`.pipe(
        Effect.map((rows) => rows.length > 0),
        guard("inference route remove"),
      ),
  })
})

export const layer: Layer.Layer<InferenceRoutes, never, SqlClient.SqlClient> = Layer.effect(
  InferenceRoutes,
  make,
)
