/** One session: hello, the gateway's answer, heartbeats, and requests for relays until the stream ends. */
import { Clock, Data, Effect, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import type {
  GatewayMessage,
  SessionAccepted,
  SessionMove,
  SessionRejected,
  SupervisorCapabilities,
  SupervisorMessage,
} from "../../domain/Session.ts"
import { Status } from "../../domain/Status.ts"
import { type OpenCall, openCall } from "../../wire/grpc/Calls.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import { type GrpcError, grpcError, toGrpcError } from "../../wire/grpc/GrpcError.ts"
import { sessionCalls } from "../../wire/openshell-v1/Session.ts"
import type { Log } from "../Log.ts"
import type { EpochFence } from "./EpochFence.ts"
import type { GatewayAdvice } from "./GatewayAdvice.ts"
import type { RelaySession, Relays } from "./Relays.ts"

/** Who this supervisor is, the same in every hello of one process. */
export interface Identity {
  readonly sandboxId: string
  readonly instanceId: string
  readonly startedAtMs: number
  /** Whether the hello offers capabilities that OpenShell's wire does not know. */
  readonly extensions: boolean
}

export interface SessionDependencies {
  readonly identity: Identity
  readonly relays: Relays
  readonly fence: EpochFence
  readonly advice: GatewayAdvice
  readonly log: Log
  readonly onAccepted: (connection: GrpcConnection, accepted: SessionAccepted) => void
  /** The configuration is to be read again, after a random wait up to that long. */
  readonly onConfigChanged: (spreadMs: number) => void
}

/** A gateway asks for another session before this one is left. */
export type MoveRequest = SessionMove

/** A session is over, or did not come about. */
export class SessionEnded extends Data.TaggedError("SessionEnded")<{
  readonly message: string
  readonly accepted: boolean
  /** From the accepted hello to the end. */
  readonly livedMs: number
  /** How long the gateway asks us to wait. */
  readonly advisedMs: number | undefined
  /** The gateway names another replica to ask instead. */
  readonly redirectUrl?: string | undefined
}> {}

type SessionCall = OpenCall<SupervisorMessage, GatewayMessage>

const ended = (message: string, advisedMs?: number): SessionEnded =>
  new SessionEnded({ message, accepted: false, livedMs: 0, advisedMs })

const failed = (error: GrpcError): SessionEnded => ended(`${error.message} (status ${error.code})`)

const say = (call: SessionCall, message: SupervisorMessage): void => {
  // A stream that no longer takes messages is noticed by whoever reads it.
  call.send(message).catch(() => undefined)
}

const receive = (call: SessionCall): Effect.Effect<GatewayMessage | undefined, GrpcError> =>
  Effect.tryPromise({ try: () => call.receive(), catch: toGrpcError })

const capabilitiesOf = (
  connectionEpoch: number,
  { identity, relays }: SessionDependencies,
): SupervisorCapabilities => ({
  connectionEpoch,
  instanceStartedAtMs: identity.startedAtMs,
  fence: true,
  redirect: true,
  resume: true,
  exec: true,
  configPush: true,
  liveChannelIds: relays.liveChannelIds,
})

const hello = (call: SessionCall, connectionEpoch: number, dependencies: SessionDependencies): void => {
  const { identity } = dependencies
  say(call, {
    _tag: "Hello",
    sandboxId: identity.sandboxId,
    instanceId: identity.instanceId,
    ...(identity.extensions ? { capabilities: capabilitiesOf(connectionEpoch, dependencies) } : {}),
  })
}

const rejected = ({ reason, terms }: SessionRejected, fence: EpochFence): SessionEnded => {
  fence.observe(terms?.epoch ?? 0)
  const redirectUrl = terms?.redirectUrl ?? ""
  return new SessionEnded({
    message: `the gateway rejected the session: ${reason}`,
    accepted: false,
    livedMs: 0,
    advisedMs: advice(terms?.reconnectDelayMs),
    ...(redirectUrl === "" ? {} : { redirectUrl }),
  })
}

const advice = (delayMs: number | undefined): number | undefined =>
  delayMs === undefined || delayMs === 0 ? undefined : delayMs

const accept = (
  call: SessionCall,
  { fence, advice: heeded }: SessionDependencies,
): Effect.Effect<SessionAccepted, SessionEnded> =>
  receive(call).pipe(
    Effect.timeoutFail({
      duration: limits.supervisorAcceptMs,
      onTimeout: () => grpcError(Status.DEADLINE_EXCEEDED, "the gateway did not answer the hello"),
    }),
    Effect.mapError(failed),
    Effect.flatMap((first) => {
      if (first?._tag === "Accepted") {
        fence.observe(first.terms?.epoch ?? 0)
        heeded.heed(first.terms?.advice)
        return Effect.succeed(first)
      }
      if (first?._tag === "Rejected") return rejected(first, fence)
      return ended(`the gateway answered the hello with ${first?._tag ?? "the end of the stream"}`)
    }),
  )

/** The server lets running calls finish here and takes no new ones: relays need another connection. */
const leaving = grpcError(Status.UNAVAILABLE, "the gateway is closing this connection")

/** Serves until the stream ends; succeeds never. */
const serve = (
  call: SessionCall,
  session: RelaySession,
  { relays, log, advice: heeded, onConfigChanged }: SessionDependencies,
  onMove: (request: MoveRequest) => void,
): Effect.Effect<never, GrpcError> =>
  receive(call).pipe(
    Effect.flatMap((message) => {
      if (message === undefined) return grpcError(Status.OK, "the gateway ended the session")
      switch (message._tag) {
        case "RelayOpen":
          if (session.connection.draining) return leaving
          void relays.open(session, message)
          break
        case "RelayClose":
          log("debug", "gateway closed a relay", { relay: message.channelId, reason: message.reason })
          break
        case "Move":
          onMove(message)
          break
        case "ConfigChanged":
          onConfigChanged(message.spreadMs)
          break
        case "Heartbeat":
          heeded.heed(message.advice)
          break
        default:
          log("warn", "unexpected message on the session", { session: session.id, kind: message._tag })
      }
      return Effect.void
    }),
    Effect.forever,
  )

const heartbeats = (
  call: SessionCall,
  session: RelaySession,
  accepted: SessionAccepted,
): Effect.Effect<never, GrpcError> =>
  Effect.suspend(() => {
    if (session.connection.draining) return leaving
    say(call, { _tag: "Heartbeat" })
    return Effect.void
  }).pipe(Effect.delay(Math.max(limits.supervisorHeartbeatMinMs, accepted.heartbeatMs)), Effect.forever)

/** A session that the gateway accepted. */
export interface OpenSession {
  readonly connection: GrpcConnection
  /** Serves until the session is over; run once. */
  readonly serve: (onMove: (request: MoveRequest) => void) => Effect.Effect<never, SessionEnded>
}

/**
 * Says hello on a connection and waits for the gateway's answer. The session ends with the scope; its connection
 * stays, because relays on it may outlive the session.
 */
export const openSession = (
  connection: GrpcConnection,
  connectionEpoch: number,
  dependencies: SessionDependencies,
): Effect.Effect<OpenSession, SessionEnded, Scope.Scope> =>
  Effect.gen(function* () {
    const call = yield* Effect.try({
      try: () => openCall(connection, sessionCalls.connect),
      catch: (cause) => failed(toGrpcError(cause)),
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => call.cancel()))
    hello(call, connectionEpoch, dependencies)
    const accepted = yield* accept(call, dependencies)
    const acceptedAtMs = yield* Clock.currentTimeMillis
    dependencies.onAccepted(connection, accepted)
    dependencies.log("info", "session accepted", {
      session: accepted.sessionId,
      replica: accepted.terms?.replica ?? "",
      connectionEpoch,
    })
    const session: RelaySession = {
      id: accepted.sessionId,
      connection,
      sendResult: (result) => say(call, { _tag: "RelayOpenResult", ...result }),
    }
    return {
      connection,
      serve: (onMove) =>
        serve(call, session, dependencies, onMove).pipe(
          Effect.raceFirst(heartbeats(call, session, accepted)),
          Effect.catchAll((error) =>
            Effect.flatMap(
              Clock.currentTimeMillis,
              (now) =>
                new SessionEnded({
                  message: error.message,
                  accepted: true,
                  livedMs: now - acceptedAtMs,
                  advisedMs: advice(accepted.terms?.reconnectDelayMs),
                }),
            ),
          ),
        ),
    }
  })
