/** Reading the proposals of a sandbox; `Configs.write` writes them. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer } from "effect"
import type { DraftChunk, DraftEvent } from "../domain/DraftPolicy.ts"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { decodeChunks, decodeEvents, toEvent } from "./ConfigRows.ts"
import { guard } from "./SqlErrors.ts"

export class Drafts extends Context.Tag("holdfast/Drafts")<
  Drafts,
  {
    /** In the order of their submission. */
    readonly chunks: (sandboxId: string) => Effect.Effect<ReadonlyArray<DraftChunk>, Unavailable>
    /** Oldest first. */
    readonly history: (sandboxId: string) => Effect.Effect<ReadonlyArray<DraftEvent>, Unavailable>
  }
>() {}

export const layer: Layer.Layer<Drafts, never, SqlClient.SqlClient> = Layer.effect(
  Drafts,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    chunks: (sandboxId) =>
      sql`SELECT chunk FROM draft_chunks WHERE sandbox_id = ${sandboxId} ORDER BY seq
        LIMIT ${limits.draftChunks}`.pipe(
        Effect.flatMap(decodeChunks),
        Effect.map((rows) => rows.map(({ chunk }) => chunk)),
        guard("draft chunks"),
      ),
    history: (sandboxId) =>
      sql`SELECT * FROM draft_events WHERE sandbox_id = ${sandboxId} ORDER BY seq
        LIMIT ${limits.draftEvents}`.pipe(
        Effect.flatMap(decodeEvents),
        Effect.map((rows) => rows.map(toEvent)),
        guard("draft history"),
      ),
  })),
)
