/** How much a database has had to do. */
import { Effect } from "effect"
import pg from "pg"
import { DrillError } from "../DrillError.ts"

/** Counted by Postgres itself, for all databases; a backend reports once a second. */
export const transactionsOf = (url: string): Effect.Effect<number, DrillError> =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        const { rows } = await client.query<{ readonly count: string }>(
          "SELECT sum(xact_commit + xact_rollback) AS count FROM pg_stat_database",
        )
        return Number(rows[0]?.count ?? 0)
      } finally {
        await client.end()
      }
    },
    catch: (cause) => new DrillError({ message: `the database does not count its transactions: ${cause}` }),
  })
