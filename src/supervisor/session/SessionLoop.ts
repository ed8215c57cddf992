/** Keeps a session up: a new connection for each, and a random pause before the next. */
import { Effect, Random, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import type { GatewayLink } from "../gateway/GatewayLink.ts"
import { type BackoffPolicy, failuresAfter, reconnectPauseMs } from "./Backoff.ts"
import { runSession, type SessionDependencies, SessionEnded } from "./Session.ts"

const policy: BackoffPolicy = {
  baseMs: limits.reconnectBaseMs,
  capMs: limits.reconnectCapMs,
  adviceMs: limits.reconnectAdviceMs,
}

/** Connections that were opened and may still carry relays; all are cut with the scope. */
class Connections {
  readonly #open: GrpcConnection[] = []

  add(connection: GrpcConnection): void {
    this.#open.push(connection)
    void connection.closed.then(() => {
      const at = this.#open.indexOf(connection)
      if (at >= 0) this.#open.splice(at, 1)
    })
  }

  /** The session on it is over: no new calls, running relays may finish while there are few such connections. */
  retire(connection: GrpcConnection): void {
    connection.close()
    while (this.#open.length > limits.supervisorLingering) this.#open.shift()?.destroy()
  }

  destroyAll(): void {
    for (const connection of [...this.#open]) connection.destroy()
  }
}

export const sessionLoop = (
  link: GatewayLink,
  dependencies: SessionDependencies,
): Effect.Effect<never, never, Scope.Scope> =>
  Effect.gen(function* () {
    const connections = new Connections()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        dependencies.relays.abortAll("the supervisor ends")
        connections.destroyAll()
      }),
    )
    let failures = 0
    for (let epoch = 1n; ; epoch += 1n) {
      const end = yield* Effect.flip(one(link, epoch, dependencies, connections))
      failures = failuresAfter(failures, end, limits.reconnectResetMs)
      const pauseMs = reconnectPauseMs(policy, failures, yield* Random.next, end.advisedMs)
      dependencies.log(end.accepted ? "warn" : "error", "no session with the gateway", {
        reason: end.message,
        failures,
        pauseMs: Math.round(pauseMs),
        livedMs: end.livedMs,
      })
      yield* Effect.sleep(pauseMs)
    }
  })

const one = (
  link: GatewayLink,
  epoch: bigint,
  dependencies: SessionDependencies,
  connections: Connections,
): Effect.Effect<never, SessionEnded> =>
  link.dial.pipe(
    Effect.tap((connection) => Effect.sync(() => connections.add(connection))),
    Effect.mapError(
      ({ message }) => new SessionEnded({ message, accepted: false, livedMs: 0, advisedMs: undefined }),
    ),
    Effect.flatMap((connection) =>
      runSession(connection, epoch, dependencies).pipe(
        Effect.ensuring(Effect.sync(() => connections.retire(connection))),
      ),
    ),
  )
