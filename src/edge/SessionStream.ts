/** `ConnectSupervisor`: hello, attach at the owner, accepted; then the life of the session until its stream ends. */
import { randomUUID } from "node:crypto"
import { Context, Duration, Effect, Layer, Runtime, Schedule } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { InvalidArgument, PermissionDenied, type PublicError } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import type { SupervisorHello, SupervisorMessage } from "../domain/Session.ts"
import { Metrics } from "../observe/Metrics.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import { makeAttachQueue } from "./AttachQueue.ts"
import { LocalEdge } from "./LocalEdge.ts"
import { type EncodeGatewayMessage, Session, type SessionCall } from "./Session.ts"

/** Reads the supervisor's messages; undefined after it half-closed. */
export type ReceiveSupervisorMessage = () => Promise<SupervisorMessage | undefined>

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const metrics = yield* Metrics
  const edge = yield* LocalEdge
  const actors = yield* SandboxActors
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  const receiveOnce = (receive: ReceiveSupervisorMessage) =>
    Effect.tryPromise({
      try: receive,
      catch: (cause) =>
        cause instanceof GrpcError ? cause : new InvalidArgument({ message: "stream closed before hello" }),
    })

  const hello = (
    receive: ReceiveSupervisorMessage,
  ): Effect.Effect<SupervisorHello, PublicError | GrpcError> =>
    receiveOnce(receive).pipe(
      Effect.timeoutFail({
        duration: Duration.millis(limits.helloTimeoutMs),
        onTimeout: () => new InvalidArgument({ message: "stream closed before hello" }),
      }),
      Effect.flatMap((message) => {
        if (message === undefined)
          return Effect.fail(new InvalidArgument({ message: "stream closed before hello" }))
        return message._tag === "Hello"
          ? Effect.succeed(message)
          : Effect.fail(new InvalidArgument({ message: "expected SupervisorHello" }))
      }),
    )

  const queue = yield* makeAttachQueue

  /** Over how long the sessions here should come back, were they all lost now. Whole seconds, so that it changes seldom. */
  const spreadMs = () =>
    Math.min(limits.reconnectSpreadMs, Math.floor(edge.sessions.size / limits.reconnectsPerSecond) * 1_000)

  // One clock for all sessions: a fiber and a timer for each would weigh more than the session.
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      const nowMs = yield* monotonicMs
      const spread = spreadMs()
      for (const session of edge.sessions.values()) {
        if (session.heartbeat(nowMs, spread)) continue
        session.end()
        yield* Effect.logWarning("The supervisor does not read its session; ended it").pipe(
          Effect.annotateLogs({ sandbox: session.sandboxId, session: session.sessionId }),
        )
      }
    }).pipe(Effect.repeat(Schedule.spaced(limits.heartbeatTickMs))),
  )

  const detach = (session: Session) =>
    actors
      .ask(
        session.sandboxId,
        (actor) => actor.Detach({ sessionId: session.sessionId }),
        limits.attachTimeoutMs,
      )
      .pipe(
        // Nobody else would notice: the store says that this replica, which lives, holds the session.
        Effect.retry({
          schedule: Schedule.exponential(limits.sessionRetryMs).pipe(
            Schedule.union(Schedule.spaced(limits.detachPauseMs)),
            Schedule.jittered,
            Schedule.upTo(limits.detachForMs),
          ),
          while: (error) => error._tag === "Unavailable",
        }),
        Effect.catchAll((error) =>
          Effect.logWarning("The owner could not be told of a lost session", error.message),
        ),
      )

  /**
   * The life of an accepted session, until its stream ends in whatever way. Plain promises: a fiber that waits for
   * a supervisor's next word would weigh four times what the session does.
   */
  const follow = async (session: Session, receive: ReceiveSupervisorMessage): Promise<void> => {
    try {
      while (true) {
        const message = await receive()
        if (message === undefined) break
        if (message._tag === "RelayOpenResult" && !message.success)
          edge.refused(session.sandboxId, message.channelId, message.error)
        if (message._tag === "RelayClose")
          note(session, "Supervisor closed a relay", { relay: message.channelId, reason: message.reason })
      }
    } catch (cause) {
      note(session, "Session stream ended", {
        reason: cause instanceof Error ? cause.message : String(cause),
      })
    }
    edge.removeSession(session)
    if (!session.replaced) runFork(detach(session))
  }

  const note = (session: Session, message: string, fields: Readonly<Record<string, string>>): void => {
    runFork(
      Effect.logDebug(message).pipe(
        Effect.annotateLogs({ sandbox: session.sandboxId, session: session.sessionId, ...fields }),
      ),
    )
  }

  const attach = (session: Session, said: SupervisorHello) =>
    queue
      .attach(session.sandboxId, {
        sessionId: session.sessionId,
        instanceId: said.instanceId,
        instanceStartedAtMs: said.capabilities?.instanceStartedAtMs ?? 0,
        connectionEpoch: said.capabilities?.connectionEpoch ?? 0,
        replica: config.incarnation,
      })
      .pipe(Effect.tapError(() => Effect.sync(() => metrics.sessionAttach.inc({ outcome: "failed" }))))

  /** False when the session does not come about. */
  const admitted = (session: Session, said: SupervisorHello) =>
    Effect.gen(function* () {
      const verdict = yield* attach(session, said)
      if (verdict._tag === "Queued") {
        metrics.sessionAttach.inc({ outcome: "queued" })
        session.reject("too many supervisors are connecting to this replica", verdict.delayMs)
        return false
      }
      if (verdict._tag === "Rejected") {
        metrics.sessionAttach.inc({ outcome: "rejected" })
        yield* Effect.logInfo("Session rejected", verdict.reason)
        session.reject(verdict.reason)
        return false
      }
      metrics.sessionAttach.inc({ outcome: "accepted" })
      session.accept(verdict.epoch, config.name, spreadMs())
      session.acceptedAtMs = yield* monotonicMs
      session.moved = verdict.moved
      return true
    })

  /** Sets a session up; the promise it returns settles when the session is over. */
  const run = (
    principal: string,
    call: SessionCall,
    encode: EncodeGatewayMessage,
    receive: ReceiveSupervisorMessage,
  ): Effect.Effect<Promise<void>, PublicError | GrpcError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        // The reference peer waits for response headers before it goes on.
        call.sendHeaders()
        const said = yield* restore(hello(receive))
        if (said.sandboxId === "") return yield* new InvalidArgument({ message: "sandbox_id is required" })
        if (said.sandboxId !== principal)
          return yield* new PermissionDenied({
            message: "cross-sandbox access denied: principal does not own this sandbox",
          })
        const session = new Session(principal, randomUUID(), said.capabilities, call, encode)
        const refuge = edge.report.refuge()
        if (refuge !== undefined) {
          metrics.sessionAttach.inc({ outcome: "isolated" })
          session.reject("this replica is cut off from the others", 0, refuge)
          return Promise.resolve()
        }
        edge.addSession(session)
        const accepted = yield* restore(admitted(session, said)).pipe(
          Effect.onError(() =>
            Effect.sync(() => {
              edge.removeSession(session)
              // The owner may have taken it nevertheless.
              runFork(detach(session))
            }),
          ),
        )
        if (accepted) return follow(session, receive)
        edge.removeSession(session)
        return Promise.resolve()
      }),
    ).pipe(Effect.annotateLogs({ sandbox: principal }))

  return { run } as const
})

export class SessionStream extends Context.Tag("holdfast/SessionStream")<
  SessionStream,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.scoped(SessionStream, make)
}
