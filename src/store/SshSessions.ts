/** SSH session tokens. Only their SHA-256 is stored: whoever reads the database cannot use them. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { guard } from "./SqlErrors.ts"

export interface NewSshSession {
  /** SHA-256 of the token, lower-case hex. */
  readonly tokenHash: string
  readonly sandboxId: string
  readonly createdAtMs: number
  /** 0: never. */
  readonly expiresAtMs: number
}

export interface SshSession {
  readonly sandboxId: string
  /** 0: never. */
  readonly expiresAtMs: number
  readonly revoked: boolean
}

const Row = Schema.Struct({
  sandbox_id: Schema.String,
  expires_at_ms: Schema.Number,
  revoked_at_ms: Schema.NullOr(Schema.Number),
})

const OfSandbox = Schema.Array(Schema.Struct({ sandbox_id: Schema.String }))

export class SshSessions extends Context.Tag("holdfast/SshSessions")<
  SshSessions,
  {
    readonly create: (session: NewSshSession) => Effect.Effect<void, Unavailable>
    /** Also finds expired and revoked ones, until they are reaped. */
    readonly find: (tokenHash: string) => Effect.Effect<Option.Option<SshSession>, Unavailable>
    /** The sandbox of the token, none when there is no such token. Revoking twice is the same as once. */
    readonly revoke: (tokenHash: string) => Effect.Effect<Option.Option<string>, Unavailable>
    readonly removeForSandbox: (sandboxId: string) => Effect.Effect<void, Unavailable>
    /**
     * Removes tokens that ended more than `sshSessionTtlMs` ago or whose sandbox is gone; returns how many.
     * At most `sshSessionsReaped` per call.
     */
    readonly reap: (nowMs: number) => Effect.Effect<number, Unavailable>
  }
>() {}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const create = (session: NewSshSession) =>
    sql`INSERT INTO ssh_sessions ${sql.insert({
      token_hash: session.tokenHash,
      sandbox_id: session.sandboxId,
      created_at_ms: session.createdAtMs,
      expires_at_ms: session.expiresAtMs,
    })}`

  const find = (tokenHash: string) =>
    sql`SELECT sandbox_id, expires_at_ms, revoked_at_ms FROM ssh_sessions WHERE token_hash = ${tokenHash}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Array(Row))),
      Effect.map(([row]) =>
        row === undefined
          ? Option.none()
          : Option.some({
              sandboxId: row.sandbox_id,
              expiresAtMs: row.expires_at_ms,
              revoked: row.revoked_at_ms !== null,
            }),
      ),
    )

  const revoke = (tokenHash: string) =>
    Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      const rows = yield* sql`UPDATE ssh_sessions SET revoked_at_ms = COALESCE(revoked_at_ms, ${nowMs})
        WHERE token_hash = ${tokenHash} RETURNING sandbox_id`
      const [row] = yield* Schema.decodeUnknown(OfSandbox)(rows)
      return Option.fromNullable(row?.sandbox_id)
    })

  const reap = (nowMs: number) => {
    const longAgo = nowMs - limits.sshSessionTtlMs
    return sql`DELETE FROM ssh_sessions WHERE token_hash IN (
        SELECT token_hash FROM ssh_sessions
        WHERE (expires_at_ms > 0 AND expires_at_ms < ${longAgo})
           OR revoked_at_ms < ${longAgo}
           OR NOT EXISTS (SELECT 1 FROM sandboxes WHERE sandboxes.id = ssh_sessions.sandbox_id)
        LIMIT ${limits.sshSessionsReaped})
      RETURNING sandbox_id`.pipe(Effect.map((rows) => rows.length))
  }

  return SshSessions.of({
    create: (session) => create(session).pipe(Effect.asVoid, guard("ssh session create")),
    find: (tokenHash) => find(tokenHash).pipe(guard("ssh session find")),
    revoke: (tokenHash) => revoke(tokenHash).pipe(guard("ssh session revoke")),
    removeForSandbox: (sandboxId) =>
      sql`DELETE FROM ssh_sessions WHERE sandbox_id = ${sandboxId}`.pipe(
        Effect.asVoid,
        guard("ssh session remove"),
      ),
    reap: (nowMs) => reap(nowMs).pipe(guard("ssh session reap")),
  })
})

export const layer: Layer.Layer<SshSessions, never, SqlClient.SqlClient> = Layer.effect(SshSessions, make)
