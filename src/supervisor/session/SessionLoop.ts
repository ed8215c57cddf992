/**
 * Keeps a session up: a new connection for each, and a random pause before the next. A session that a gateway asks
 * to move is left only when the next one is accepted.
 */
import {
  Deferred,
  Duration,
  Effect,
  Either,
  ExecutionStrategy,
  Exit,
  Fiber,
  Option,
  Queue,
  Random,
  Scope,
} from "effect"
import { limits } from "../../domain/Limits.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import type { GatewayLink } from "../gateway/GatewayLink.ts"
import { type BackoffPolicy, failuresAfter, reconnectPauseMs } from "./Backoff.ts"
import { Connections } from "./Connections.ts"
import { type MoveRequest, openSession, type SessionDependencies, SessionEnded } from "./Session.ts"

const policy: BackoffPolicy = {
  baseMs: limits.reconnectBaseMs,
  capMs: limits.reconnectCapMs,
  adviceMs: limits.reconnectAdviceMs,
  spreadMs: limits.reconnectAdviceMs,
}

/** A session that is served in the background. */
interface Running {
  readonly connection: GrpcConnection
  readonly over: Deferred.Deferred<SessionEnded>
  /** The latest request to move; an older one that nobody followed is forgotten. */
  readonly moves: Queue.Queue<MoveRequest>
  readonly fiber: Fiber.RuntimeFiber<void>
}

const make = (link: GatewayLink, dependencies: SessionDependencies, scope: Scope.Scope) => {
  const { log, relays } = dependencies
  const connections = new Connections()
  let connectionEpoch = 0

  const start = (url: string): Effect.Effect<Running, SessionEnded> =>
    Effect.gen(function* () {
      const refusal = link.refusalOf(url)
      if (refusal !== undefined) log("warn", "address from a gateway not used", { reason: refusal })
      const connection = yield* link
        .dialAt(url)
        .pipe(
          Effect.mapError(
            ({ message }) => new SessionEnded({ message, accepted: false, livedMs: 0, advisedMs: undefined }),
          ),
        )
      connections.add(connection)
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      connectionEpoch += 1
      const session = yield* openSession(connection, connectionEpoch, dependencies).pipe(
        Scope.extend(own),
        Effect.onError((cause) =>
          Effect.zipRight(
            Scope.close(own, Exit.failCause(cause)),
            Effect.sync(() => connection.destroy()),
          ),
        ),
      )
      const over = yield* Deferred.make<SessionEnded>()
      const moves = yield* Queue.sliding<MoveRequest>(1)
      const fiber = yield* session
        .serve((request) => void moves.unsafeOffer(request))
        .pipe(
          Effect.flip,
          Effect.flatMap((end) => Deferred.succeed(over, end)),
          Effect.asVoid,
          Effect.ensuring(
            Effect.zipRight(
              Scope.close(own, Exit.void),
              Effect.sync(() => connections.retire(connection)),
            ),
          ),
          Effect.forkIn(scope),
        )
      return { connection, over, moves, fiber }
    })

  /** The owner ends the session that was replaced once nothing is opening on it; an owner that forgets is not waited for. */
  const leave = (former: Running): Effect.Effect<void> =>
    Effect.sync(() => relays.moveStreams(former.connection)).pipe(
      Effect.zipRight(Deferred.await(former.over)),
      Effect.timeoutOption(Duration.millis(limits.supervisorSettleMs)),
      // Those that were opening meanwhile.
      Effect.tap(Effect.sync(() => relays.moveStreams(former.connection))),
      Effect.zipRight(Fiber.interrupt(former.fiber)),
      Effect.asVoid,
      Effect.forkIn(scope),
      Effect.asVoid,
    )

  /** Until the session is over, or another has taken its place. */
  const follow = (running: Running): Effect.Effect<Running | SessionEnded> =>
    Effect.gen(function* () {
      const over = Deferred.await(running.over)
      const asked = Queue.take(running.moves)
      let request: MoveRequest | SessionEnded = yield* Effect.raceFirst(over, asked)
      for (let failures = 1, redirects = 0; !(request instanceof SessionEnded); failures += 1) {
        log("info", "asked to move the session", { reason: request.reason, url: request.url })
        // The end of the old session does not end the attempt: the owner may close it before our answer arrives.
        const next: Either.Either<Running, SessionEnded> = yield* Effect.either(start(request.url))
        if (Either.isRight(next)) {
          yield* leave(running)
          return next.right
        }
        const { message, redirectUrl, advisedMs } = next.left
        const ended = yield* Deferred.poll(running.over)
        if (Option.isSome(ended)) return yield* ended.value
        log("warn", "the session could not be moved", { reason: message, failures })
        if (redirectUrl !== undefined && redirects < limits.supervisorRedirects) {
          redirects += 1
          request = { url: redirectUrl, reason: "redirected" }
          continue
        }
        const pauseMs = reconnectPauseMs(policy, failures, yield* Random.next, { delayMs: advisedMs })
        // A gateway that names a delay is busy, not lost; else the configured address is another way to the cluster.
        const repeated: MoveRequest = advisedMs === undefined ? { ...request, url: "" } : request
        request = yield* Effect.raceFirst(over, asked).pipe(
          Effect.timeoutTo({ duration: pauseMs, onSuccess: (news) => news, onTimeout: () => repeated }),
        )
      }
      return request
    })

  /** Sessions one after the other, each moved as often as it is asked to, until none is left. */
  const run = (url: string): Effect.Effect<SessionEnded> =>
    Effect.gen(function* () {
      let current: Running | SessionEnded = yield* start(url)
      while (!(current instanceof SessionEnded)) current = yield* follow(current)
      return current
    }).pipe(Effect.merge)

  return { run, connections, log, relays } as const
}

export const sessionLoop = (
  link: GatewayLink,
  dependencies: SessionDependencies,
): Effect.Effect<never, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { run, connections, relays, log } = make(link, dependencies, yield* Effect.scope)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        relays.abortAll("the supervisor ends")
        connections.destroyAll()
      }),
    )
    let failures = 0
    let redirects = 0
    let url = ""
    while (true) {
      const end = yield* run(url)
      redirects = end.redirectUrl === undefined ? 0 : redirects + 1
      url = redirects <= limits.supervisorRedirects ? (end.redirectUrl ?? "") : ""
      if (url !== "") {
        log("info", "redirected to another replica", { url })
        continue
      }
      redirects = 0
      failures = failuresAfter(failures, end, limits.reconnectResetMs)
      const pauseMs = reconnectPauseMs(policy, failures, yield* Random.next, {
        delayMs: end.advisedMs,
        // Idle sandboxes give way to those in use.
        spreadMs:
          end.accepted && relays.liveChannelIds.length === 0 ? dependencies.advice.reconnectSpreadMs : 0,
      })
      log(end.accepted ? "warn" : "error", "no session with the gateway", {
        reason: end.message,
        failures,
        pauseMs: Math.round(pauseMs),
        livedMs: end.livedMs,
      })
      yield* Effect.sleep(pauseMs)
    }
  })
