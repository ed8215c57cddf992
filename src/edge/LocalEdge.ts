/**
 * The edge of this replica: the sessions whose sockets are here, the relays asked of them and the relays that run
 * on them. It obeys the owner of a sandbox, and refuses an owner that a later one has replaced.
 */
import { Context, Duration, Effect, Layer, Runtime } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import {
  DeadlineExceeded,
  FailedPrecondition,
  LimitReached,
  NotFound,
  PermissionDenied,
  Unavailable,
} from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import { limits } from "../domain/Limits.ts"
import { countStream, Metrics } from "../observe/Metrics.ts"
import { type EdgeOpen, type EdgeOpened, SessionGone } from "../sandbox/Edges.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import type { MessageReader } from "../wire/grpc/MessageReader.ts"
import { type RelayCall, type RelayLeg, serverLeg } from "../wire/RelayLeg.ts"
import { makeEdgeGate } from "./EdgeGate.ts"
import { makeReport } from "./EdgeReport.ts"
import { EdgeStreams, noExecText, type StreamEnd, streamEnd } from "./EdgeStreams.ts"
import { letGo } from "./LetGo.ts"
import { LiveRelays } from "./LiveRelays.ts"
import { droppedText } from "./PeerLeg.ts"
import { PeerLegs } from "./PeerLegs.ts"
import type { Session } from "./Session.ts"
import { splice } from "./Splice.ts"

type OpenFailure = SessionGone | Unavailable | DeadlineExceeded | LimitReached | FailedPrecondition

interface Pending {
  readonly request: EdgeOpen
  readonly settle: (outcome: Effect.Effect<void, OpenFailure>) => void
  readonly outcome: Effect.Effect<EdgeOpened, OpenFailure>
  readonly end: StreamEnd
  /** The way to the client's replica; opened while the supervisor dials its target. */
  readonly client: ReturnType<PeerLegs["Type"]["dial"]> | undefined
}

const gone = () => new Unavailable({ message: droppedText })

const crossSandbox = "cross-sandbox access denied: principal does not own this sandbox"

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const metrics = yield* Metrics
  const actors = yield* SandboxActors
  const peerLegs = yield* PeerLegs
  const { admit, refused: epochsRefused } = makeEdgeGate(metrics)
  const { report, stats } = yield* makeReport
  const sessions = new Map<string, Session>()
  const pending = new Map<string, Pending>()
  /** Claimed by their supervisors, and waiting for the client's side. */
  const joining = new Map<string, Pending>()
  const live = new LiveRelays(config.incarnation)
  const count = (direction: "in" | "out", bytes: number) => metrics.relayBytes.inc({ direction }, bytes)
  const here = new EdgeStreams(count, (kind, stream) => countStream(metrics, kind, stream))
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  const settle = (channelId: string, outcome: Effect.Effect<void, OpenFailure>) => {
    const entry = pending.get(channelId)
    if (entry === undefined) return undefined
    pending.delete(channelId)
    metrics.relayPending.set(pending.size)
    entry.settle(outcome)
    return entry
  }

  const failPending = (channelId: string, error: OpenFailure) =>
    settle(channelId, Effect.fail(error))?.client?.cancel()

  const begin = (request: EdgeOpen): Effect.Effect<EdgeOpened, OpenFailure> =>
    Effect.gen(function* () {
      const session = sessions.get(request.sessionId)
      if (session === undefined || session.retired)
        return yield* new SessionGone({ message: `session ${request.sessionId} is not on ${config.name}` })
      if (pending.size >= limits.relayPendingPerProcess)
        return yield* new LimitReached({ message: "too many pending relays on this replica" })
      const { channelId, target, serviceId, fence } = request
      const { rendezvous } = request
      const local = rendezvous.replica === config.incarnation
      const { stream } = request
      const end = streamEnd(session, stream, local)
      if (end === undefined) return yield* new FailedPrecondition({ message: noExecText })
      const known = end === "edge" && stream !== undefined && here.knows(stream)
      const asked = end === "supervisor" ? stream : undefined
      if (!known && !session.openRelay(channelId, target, serviceId, fence.epoch, asked))
        return yield* new Unavailable({ message: "the supervisor does not read its session" })
      let settleNow: Pending["settle"] = () => {}
      const settled = new Promise<Effect.Effect<void, OpenFailure>>((resolve) => {
        settleNow = resolve
      })
      const outcome = Effect.as(Effect.flatten(Effect.promise(() => settled)), { stream: end !== "none" })
      const entry: Pending = {
        request,
        outcome,
        end,
        settle: settleNow,
        client: local ? undefined : peerLegs.dial(rendezvous.replica, channelId, rendezvous.ticket),
      }
      pending.set(channelId, entry)
      metrics.relayPending.set(pending.size)
      if (known) yield* complete(entry, here.carrier(request, stream))
      return yield* outcome
    }).pipe(
      Effect.timeoutFail({
        duration: Duration.millis(limits.relayClaimTimeoutMs),
        onTimeout: () => new DeadlineExceeded({ message: "relay open timed out" }),
      }),
      Effect.onExit(() =>
        Effect.sync(() => {
          if (pending.has(request.channelId)) failPending(request.channelId, gone())
        }),
      ),
    )

  /** Tells the owner that a connection slot is free again; the owner also asks by itself before it refuses. */
  const reportClosed = (sandboxId: string, channelId: string) =>
    runFork(
      actors
        .ask(sandboxId, (actor) => actor.RelayClosed({ channelId }), limits.relayCloseNoticeMs)
        .pipe(Effect.ignore),
    )

  const carry = (entry: Pending, supervisor: RelayLeg, path: "local" | "peer") => {
    const { channelId, sandboxId, tokenHash } = entry.request
    live.add({ request: entry.request, end: entry.end, supervisor })
    metrics.relays.inc({ path })
    supervisor.stream.once("close", () => {
      metrics.relays.dec({ path })
      // The client's end of the stream goes out first.
      if (tokenHash !== "") setImmediate(() => reportClosed(sandboxId, channelId))
    })
  }

  const join = (entry: Pending, supervisor: RelayLeg): Effect.Effect<void, Unavailable> =>
    Effect.gen(function* () {
      const { channelId, rendezvous } = entry.request
      if (entry.client === undefined) {
        if (supervisor.stream.destroyed) return yield* gone()
        const deliver = peerLegs.rendezvous.redeem(channelId, rendezvous.ticket)
        if (typeof deliver === "string") return yield* gone()
        carry(entry, supervisor, "local")
        deliver(supervisor)
        return
      }
      const { client } = entry
      const leg = yield* Effect.tryPromise({ try: () => client.leg, catch: gone })
      // Its supervisor may have left meanwhile; that it closes would not be told again.
      if (supervisor.stream.destroyed) {
        leg.abort(droppedText)
        return yield* gone()
      }
      carry(entry, supervisor, "peer")
      void splice(supervisor, leg, {
        guardA: true,
        guardB: false,
        onBytes: (direction, bytes) => count(direction === "a" ? "out" : "in", bytes),
      })
    })

  /** The supervisor's side of what is pending has come: tells whoever waits that the two are joined. */
  const complete = (entry: Pending, supervisor: RelayLeg): Effect.Effect<void, Unavailable> =>
    Effect.gen(function* () {
      const { channelId } = entry.request
      pending.delete(channelId)
      metrics.relayPending.set(pending.size)
      joining.set(channelId, entry)
      const joined = yield* Effect.exit(join(entry, supervisor)).pipe(
        Effect.ensuring(Effect.sync(() => joining.delete(channelId))),
      )
      entry.settle(joined)
      return yield* joined
    })

  /**
   * A supervisor opened the stream of a relay: joins it with the client's side. Returns once they are joined;
   * the relay then lives until its stream closes.
   */
  const claim = (
    principal: string,
    channelId: string,
    call: RelayCall,
    incoming: Pick<MessageReader, "release" | "ended">,
  ) =>
    Effect.gen(function* () {
      const waiting = pending.get(channelId)
      if (waiting === undefined) return yield* new NotFound({ message: "unknown or expired relay channel" })
      if (waiting.request.sandboxId !== principal)
        return yield* new PermissionDenied({ message: crossSandbox })
      const { request, end } = waiting
      const leg = serverLeg(call, incoming)
      const edge = end === "edge" && request.stream !== undefined
      return yield* complete(waiting, edge ? here.begin(request, request.stream, leg) : leg)
    })

  const isOpening = (session: Session) =>
    [...pending.values()].some(({ request }) => request.sessionId === session.sessionId)

  const endInOrder = (session: Session) => letGo(session, () => isOpening(session))

  return {
    sessions,
    report,
    /** Ends a session that nobody has replaced; its relays go on. */
    letGo: endInOrder,
    open: (request: EdgeOpen) =>
      Effect.zipRight(
        admit(request.fence),
        Effect.suspend(() => {
          // The cluster sends an ask again after a crash: the second joins the first.
          const known = live.get(request.channelId)
          if (known !== undefined) return Effect.succeed({ stream: known.end !== "none" })
          const opening = pending.get(request.channelId) ?? joining.get(request.channelId)
          return opening?.outcome ?? begin(request)
        }),
      ),
    claim,
    /** The supervisor could not reach the target. */
    refused: (sandboxId: string, channelId: string, reason: string) => {
      if (pending.get(channelId)?.request.sandboxId === sandboxId)
        failPending(channelId, new Unavailable({ message: reason }))
    },
    addSession: (session: Session) => {
      sessions.set(session.sessionId, session)
      metrics.sessions.set(sessions.size)
    },
    removeSession: (session: Session) => {
      if (!sessions.delete(session.sessionId)) return
      metrics.sessions.set(sessions.size)
      for (const [channelId, entry] of pending)
        if (entry.request.sessionId === session.sessionId)
          failPending(channelId, new SessionGone({ message: "the session ended" }))
    },
    endSession: (request: { readonly sessionId: string; readonly fence: Fence }) =>
      Effect.map(admit(request.fence), () => {
        const session = sessions.get(request.sessionId)
        if (session === undefined || session.retired) return
        if (session.asked !== undefined) metrics.sessionMoves.inc({ reason: session.asked.reason })
        session.replaced = true
        session.retire()
        runFork(endInOrder(session))
      }),
    slots: (request: { readonly sandboxId: string; readonly fence: Fence }) =>
      Effect.map(admit(request.fence), () =>
        live.slots(request.sandboxId, [...pending.values(), ...joining.values()]),
      ),
    cut: (request: {
      readonly sandboxId: string
      readonly tokenHash?: string | undefined
      readonly fence: Fence
    }) =>
      Effect.map(admit(request.fence), () => {
        const { sandboxId, tokenHash } = request
        const isCut = ({ request: opening }: Pending) =>
          opening.sandboxId === sandboxId && (tokenHash ?? opening.tokenHash) === opening.tokenHash
        for (const entry of [...pending.values()].filter(isCut)) failPending(entry.request.channelId, gone())
        for (const entry of [...joining.values()].filter(isCut)) entry.client?.cancel()
        here.cut(sandboxId, tokenHash)
        live.revoke(sandboxId, tokenHash)
      }),
    relays: () => live.size,
    cutRelays: () => live.cut(),
    stats: stats(() => ({ sessions: sessions.size, relays: live.size })),
    epochsRefused,
  } as const
})

export class LocalEdge extends Context.Tag("holdfast/LocalEdge")<
  LocalEdge,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(LocalEdge, make)
}
