/** Prometheus metrics of one replica. Labels are few and bounded: never a sandbox, a user or a channel. */
import { Context, Effect, Layer } from "effect"
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client"

/** Buckets around the aim of 2 ms p50 and 10 ms p99 for opening a relay, up to the claim timeout. */
const openBuckets = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25]
const databaseBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 2]

export type RelayPath = "local" | "peer"

const build = () => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: "holdfast_" })
  return {
    registry,
    sessions: new Gauge({
      name: "holdfast_sessions",
      help: "Supervisor sessions held by this replica",
      registers,
    }),
    relays: new Gauge({
      name: "holdfast_relays",
      help: "Relays whose supervisor side this replica carries, by path",
      labelNames: ["path"] as const,
      registers,
    }),
    relayPending: new Gauge({
      name: "holdfast_relay_pending",
      help: "Relays asked of a supervisor and not yet claimed",
      registers,
    }),
    relayOpen: new Histogram({
      name: "holdfast_relay_open_seconds",
      help: "From a client's request to joined bytes, by outcome",
      labelNames: ["outcome"] as const,
      buckets: openBuckets,
      registers,
    }),
    relayBytes: new Counter({
      name: "holdfast_relay_bytes_total",
      help: "Bytes carried on relays, by direction",
      labelNames: ["direction"] as const,
      registers,
    }),
    streamsResumed: new Counter({
      name: "holdfast_streams_resumed_total",
      help: "Resumable streams taken up again after a loss or a move, through this replica by the client or by itself",
      labelNames: ["kind", "by"] as const,
      registers,
    }),
    streamsLost: new Counter({
      name: "holdfast_streams_lost_total",
      help: "Resumable streams ending on this replica that found no way to go on in time",
      labelNames: ["kind"] as const,
      registers,
    }),
    streamBytes: new Counter({
      name: "holdfast_stream_bytes_total",
      help: "Bytes from (in) and to (out) clients of ForwardTcp and of HTTP services of this replica, by kind of stream",
      labelNames: ["kind", "direction"] as const,
      registers,
    }),
    serviceRequests: new Counter({
      name: "holdfast_service_requests_total",
      help: "HTTP requests to services, by class of status; 0xx when the client left first",
      labelNames: ["status"] as const,
      registers,
    }),
    serviceOpen: new Gauge({
      name: "holdfast_service_requests_open",
      help: "HTTP requests and WebSockets to services under way",
      registers,
    }),
    sessionAttach: new Counter({
      name: "holdfast_session_attach_total",
      help: "Supervisor hellos, by outcome",
      labelNames: ["outcome"] as const,
      registers,
    }),
    sessionMoves: new Counter({
      name: "holdfast_session_moves_total",
      help: "Sessions that this replica sent elsewhere and that went, by reason",
      labelNames: ["reason"] as const,
      registers,
    }),
    sessionMovesFailed: new Counter({
      name: "holdfast_session_moves_failed_total",
      help: "Sessions that this replica sent elsewhere and that stayed or came back, by reason",
      labelNames: ["reason"] as const,
      registers,
    }),
    drainRemaining: new Gauge({
      name: "holdfast_drain_remaining",
      help: "Sessions, relays and connections with running calls that a draining replica still holds",
      registers,
    }),
    failovers: new Counter({
      name: "holdfast_failovers_total",
      help: "Shards taken from a former owner, live or dead",
      registers,
    }),
    epochsRefused: new Counter({
      name: "holdfast_epochs_refused_total",
      help: "Messages refused because a later owner had already spoken",
      registers,
    }),
    shards: new Gauge({ name: "holdfast_shards", help: "Shards owned by this replica", registers }),
    members: new Gauge({ name: "holdfast_members", help: "Live replicas as seen by this one", registers }),
    ticketsRefused: new Counter({
      name: "holdfast_peer_tickets_refused_total",
      help: "Peer legs with an unknown, expired, used or foreign ticket",
      registers,
    }),
    databaseSeconds: new Histogram({
      name: "holdfast_database_seconds",
      help: "Round trip of the database probe",
      buckets: databaseBuckets,
      registers,
    }),
    grpcRequests: new Counter({
      name: "holdfast_grpc_requests_total",
      help: "Finished gRPC calls by method and status",
      labelNames: ["method", "code"] as const,
      registers,
    }),
  }
}

/** What is counted of a stream that ends on this replica. */
interface CountedStream {
  readonly on: (event: "resumed" | "moved", listener: () => void) => unknown
  readonly outcome: Promise<{ readonly _tag: string }>
}

export type MetricsService = ReturnType<typeof build>

/** Counts the resumes of a stream that ends on this replica, and its loss. */
export const countStream = (
  { streamsResumed, streamsLost }: Pick<MetricsService, "streamsResumed" | "streamsLost">,
  kind: string,
  stream: CountedStream,
): void => {
  const resumed = (): void => streamsResumed.inc({ kind, by: "gateway" })
  stream.on("resumed", resumed)
  stream.on("moved", resumed)
  void stream.outcome.then(({ _tag }) => {
    if (_tag === "Lost") streamsLost.inc({ kind })
  })
}

export class Metrics extends Context.Tag("holdfast/Metrics")<Metrics, MetricsService>() {
  static layer = Layer.effect(Metrics, Effect.sync(build))
}
