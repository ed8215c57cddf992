/** Looking for labels in SQL. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"

/** A condition on the column `labels`: the key is there with exactly that value. */
export const makeHasLabel =
  (sql: SqlClient.SqlClient) =>
  (key: string, value: string): Fragment =>
    sql.onDialectOrElse({
      pg: () => sql`labels @> ${JSON.stringify({ [key]: value })}::jsonb`,
      orElse: () =>
        sql`EXISTS (SELECT 1 FROM json_each(labels) AS label WHERE label.key = ${key} AND label.value = ${value})`,
    })
