/** Workspaces: so far the one called `default`, made by the migration. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { guard } from "./SqlErrors.ts"

export class Workspaces extends Context.Tag("holdfast/Workspaces")<
  Workspaces,
  { readonly exists: (name: string) => Effect.Effect<boolean, Unavailable> }
>() {}

export const layer: Layer.Layer<Workspaces, never, SqlClient.SqlClient> = Layer.effect(
  Workspaces,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    exists: (name) =>
      sql`SELECT 1 FROM workspaces WHERE name = ${name}`.pipe(
        Effect.map((rows) => rows.length > 0),
        guard("workspace lookup"),
      ),
  })),
)
