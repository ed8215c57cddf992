/** What the reconciler looks for, each found by one statement over all sandboxes. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import { Context, Effect, Layer, Schema } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import type { SandboxPhase } from "../domain/Sandbox.ts"
import { guard } from "./SqlErrors.ts"

const Ids = Schema.Array(Schema.Struct({ id: Schema.String }))

/** What a former owner may have left half done. */
const unfinished: ReadonlyArray<SandboxPhase> = ["Stopping", "Deleting"]
/** What should have running processes. */
const shouldRun: ReadonlyArray<SandboxPhase> = ["Provisioning", "Starting", "Ready"]

type Found = Effect.Effect<ReadonlyArray<string>, Unavailable>

export class Sweeps extends Context.Tag("holdfast/Sweeps")<
  Sweeps,
  {
    /** Replicas that hold sessions according to the store and are not in the list. */
    readonly holdersBeyond: (liveReplicas: ReadonlyArray<string>) => Found
    /** Ready sandboxes whose session is lost, or held by one of these replicas. */
    readonly lostSessions: (goneReplicas: ReadonlyArray<string>) => Found
    /**
     * Sandboxes that should run and whose lost session was with one of these replicas. A replica that was cut off
     * and came back still holds it, and its supervisor knows nothing of the loss.
     */
    readonly returned: (liveReplicas: ReadonlyArray<string>) => Found
    /** Sandboxes in the middle of a stop or a removal, created before that time. */
    readonly unfinished: (beforeMs: number) => Found
    /** Sandboxes that should run and have no session on one of these replicas, created before that time. */
    readonly silent: (holders: ReadonlyArray<string>, beforeMs: number) => Found
  }
>() {}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const oneOf = (column: Fragment, values: ReadonlyArray<string>): Fragment =>
    values.length === 0 ? sql`1 = 0` : sql`${column} IN ${sql.in(values)}`

  const ids = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError>, what: string): Found =>
    rows.pipe(
      Effect.flatMap(Schema.decodeUnknown(Ids)),
      Effect.map((found) => found.map(({ id }) => id)),
      guard(what),
    )

  return Sweeps.of({
    holdersBeyond: (liveReplicas) =>
      ids(
        sql`SELECT DISTINCT replica AS id FROM presences
          WHERE lost_at_ms IS NULL AND NOT (${oneOf(sql`replica`, liveReplicas)}) ORDER BY replica`,
        "holder sweep",
      ),
    lostSessions: (goneReplicas) =>
      ids(
        sql`SELECT s.id FROM presences p JOIN sandboxes s ON s.id = p.sandbox_id
          WHERE s.phase = 'Ready' AND (p.lost_at_ms IS NOT NULL OR ${oneOf(sql`p.replica`, goneReplicas)})
          ORDER BY s.id`,
        "session sweep",
      ),
    returned: (liveReplicas) =>
      ids(
        sql`SELECT s.id FROM presences p JOIN sandboxes s ON s.id = p.sandbox_id
          WHERE ${oneOf(sql`s.phase`, shouldRun)} AND p.lost_at_ms IS NOT NULL
            AND ${oneOf(sql`p.replica`, liveReplicas)}
          ORDER BY s.id`,
        "return sweep",
      ),
    unfinished: (beforeMs) =>
      ids(
        sql`SELECT id FROM sandboxes WHERE ${oneOf(sql`phase`, unfinished)} AND created_at_ms < ${beforeMs} ORDER BY id`,
        "unfinished sweep",
      ),
    silent: (holders, beforeMs) =>
      ids(
        sql`SELECT s.id FROM sandboxes s WHERE ${oneOf(sql`s.phase`, shouldRun)} AND s.created_at_ms < ${beforeMs}
            AND NOT EXISTS (SELECT 1 FROM presences p WHERE p.sandbox_id = s.id AND p.lost_at_ms IS NULL
              AND ${oneOf(sql`p.replica`, holders)})
          ORDER BY s.id`,
        "silent sweep",
      ),
  })
})

export const layer: Layer.Layer<Sweeps, never, SqlClient.SqlClient> = Layer.effect(Sweeps, make)
