/**
 * The one Postgres session of a replica that holds its liveness lock and its shard locks.
 * It reconnects by itself, proves itself every `lockKeepaliveMs`, and knows how old its last proof is.
 */
import { Effect, Redacted, type Scope } from "effect"
import pg from "pg"
import { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { heard } from "../store/Reach.ts"

export interface LockSession {
  /** Runs on the lock session; fails at once while it is down. A failure ends the session, so that no lock is left behind unseen. */
  readonly query: <Row extends pg.QueryResultRow>(
    text: string,
    values: ReadonlyArray<unknown>,
  ) => Effect.Effect<ReadonlyArray<Row>, Unavailable>
  /** Milliseconds since the request whose answer last proved the session, by the monotonic clock. */
  readonly proofAgeMs: () => number
  readonly connected: () => boolean
  /**
   * The session ended before its proof ran out, and it is not known yet whether its locks were given to others. Not
   * for long: it is opened again at once. A database that is down gives nothing to anybody.
   */
  readonly inDoubt: () => boolean
}

export interface LockSessionOptions {
  readonly url: Redacted.Redacted<string>
  readonly schema: string
  readonly applicationName: string
  readonly leaseMs: number
  /** Runs on every new session before anyone else may use it: takes the locks again. */
  readonly onSession: (query: LockSession["query"]) => Effect.Effect<void, Unavailable>
}

const unavailable = (cause: unknown) =>
  new Unavailable({
    message: `lock session: ${cause instanceof Error ? cause.message || cause.name : String(cause)}`,
  })

/** Nobody is given locks by a server that takes no sessions; for one that starts anew see the takers. */
const isDown = (cause: unknown): boolean =>
  typeof cause === "object" &&
  cause !== null &&
  "code" in cause &&
  (cause.code === "ECONNREFUSED" || cause.code === "57P03")

const quoted = (identifier: string) => `"${identifier.replaceAll('"', '""')}"`

const connect = (options: LockSessionOptions): Effect.Effect<pg.Client, unknown> =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({
        connectionString: Redacted.value(options.url),
        application_name: options.applicationName,
        connectionTimeoutMillis: limits.lockConnectTimeoutMs,
        // Longer than the locks last. To end a silent session sooner would give its locks away under a proof that
        // still holds; one that is heard again meanwhile has lost nothing.
        query_timeout: options.leaseMs,
        keepAlive: true,
      })
      // Without a listener a lost connection would end the process.
      client.on("error", () => {})
      try {
        await client.connect()
        // The server ends a session that went silent: this is the lease. It applies to frozen and cut-off replicas.
        await client.query(
          `SET search_path TO ${quoted(options.schema)};
           SET idle_session_timeout = ${options.leaseMs};
           SET tcp_user_timeout = ${options.leaseMs};
           SET statement_timeout = ${limits.lockStatementTimeoutMs}`,
        )
        return client
      } catch (error) {
        client.end().catch(() => {})
        throw error
      }
    },
    catch: (cause) => cause,
  })

export const makeLockSession = (
  options: LockSessionOptions,
): Effect.Effect<LockSession, Unavailable, Scope.Scope> =>
  Effect.gen(function* () {
    // One statement at a time: pg does not queue them, and the order of takes and releases matters.
    const one = (yield* Effect.makeSemaphore(1)).withPermits(1)
    const lost = yield* Effect.makeLatch(false)
    let current: pg.Client | undefined
    let provenAt = performance.now()
    let inDoubt = false

    const drop = (client: pg.Client) => {
      if (current === client) {
        current = undefined
        inDoubt = true
        lost.unsafeOpen()
      }
      client.end().catch(() => {})
      // end() waits for a server that may be gone: cut the socket as well.
      const socket = Reflect.get(client, "connection")
      if (socket !== null && typeof socket === "object" && "stream" in socket) {
        const { stream } = socket
        if (
          stream !== null &&
          typeof stream === "object" &&
          "destroy" in stream &&
          typeof stream.destroy === "function"
        )
          stream.destroy()
      }
    }

    const queryOn =
      (client: pg.Client): LockSession["query"] =>
      <Row extends pg.QueryResultRow>(text: string, values: ReadonlyArray<unknown>) =>
        Effect.tryPromise({
          try: async () => {
            const askedAt = performance.now()
            const result = await client.query<Row>(text, [...values])
            // Before its locks are back a session proves nothing.
            if (client === current) provenAt = Math.max(provenAt, askedAt)
            heard(askedAt)
            return result.rows
          },
          catch: (cause) => {
            drop(client)
            return unavailable(cause)
          },
        }).pipe(one)

    const open = Effect.gen(function* () {
      const client = yield* connect(options).pipe(
        Effect.tapError((cause) =>
          Effect.sync(() => {
            if (isDown(cause)) inDoubt = false
          }),
        ),
        Effect.mapError(unavailable),
      )
      client.on("end", () => drop(client))
      client.on("error", () => drop(client))
      const askedAt = performance.now()
      yield* options.onSession(queryOn(client)).pipe(Effect.onError(() => Effect.sync(() => drop(client))))
      current = client
      provenAt = askedAt
      inDoubt = false
    })

    yield* open
    yield* Effect.addFinalizer(() => Effect.sync(() => current && drop(current)))

    yield* Effect.suspend(() =>
      current === undefined
        ? open.pipe(
            Effect.tapError((error) => Effect.logDebug("Lock session is down", error.message)),
            Effect.ignore,
          )
        : queryOn(current)("SELECT 1", []).pipe(Effect.ignore),
    ).pipe(
      Effect.zipRight(Effect.raceFirst(Effect.sleep(limits.lockKeepaliveMs), lost.await)),
      Effect.zipRight(lost.close),
      Effect.forever,
      Effect.forkScoped,
    )

    return {
      query: (text, values) =>
        current === undefined
          ? Effect.fail(new Unavailable({ message: "lock session: not connected to the database" }))
          : queryOn(current)(text, values),
      proofAgeMs: () => performance.now() - provenAt,
      connected: () => current !== undefined,
      inDoubt: () => inDoubt,
    } satisfies LockSession
  })
