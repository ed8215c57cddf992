/** What the benchmark asks of its load generator, a process of its own. JSON over the IPC channel. */
import { Schema } from "effect"

/** How a connection to the target is made: straight to a port, or as a relay through a replica. */
export const Way = Schema.Union(
  Schema.TaggedStruct("Tcp", { port: Schema.Number }),
  Schema.TaggedStruct("Relay", {
    /** Of the replica that the client uses. */
    url: Schema.String,
    sandboxId: Schema.String,
    /** SSH session tokens, used in turn: each carries three connections. */
    tokens: Schema.Array(Schema.String),
    /** Of the target on the sandbox's loopback. */
    port: Schema.Number,
  }),
)
export type Way = typeof Way.Type

export const Direction = Schema.Literal("up", "down")
export type Direction = typeof Direction.Type

export const Request = Schema.Union(
  /** `count` times: connect, send 64 bytes, read them back, close. */
  Schema.TaggedStruct("Open", { way: Way, count: Schema.Number }),
  /** On one connection `count` times: send 64 bytes, read them back. */
  Schema.TaggedStruct("RoundTrip", { way: Way, count: Schema.Number }),
  /** `bytes` in all, in equal parts over `streams` connections. */
  Schema.TaggedStruct("Bulk", {
    way: Way,
    direction: Direction,
    streams: Schema.Number,
    bytes: Schema.Number,
  }),
  /** Random bytes both ways, compared by SHA-256. */
  Schema.TaggedStruct("Verify", { way: Way, bytes: Schema.Number }),
  /** `count` times `true` in the sandbox through one replica. */
  Schema.TaggedStruct("Exec", { url: Schema.String, sandboxId: Schema.String, count: Schema.Number }),
  Schema.TaggedStruct("Reads", {
    urls: Schema.Array(Schema.String),
    names: Schema.Array(Schema.String),
    seconds: Schema.Number,
    atOnce: Schema.Number,
  }),
  /** One writer for each name. */
  Schema.TaggedStruct("Writes", {
    urls: Schema.Array(Schema.String),
    names: Schema.Array(Schema.String),
    seconds: Schema.Number,
  }),
  /** One watcher for each id, kept. */
  Schema.TaggedStruct("Watch", { urls: Schema.Array(Schema.String), ids: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("Watched", {}),
  /** SIGKILL of `pid`, then `true` in the sandbox through each of `urls` until it succeeds. */
  Schema.TaggedStruct("Failover", {
    pid: Schema.Number,
    urls: Schema.Array(Schema.String),
    sandboxId: Schema.String,
    /** Deadline of one attempt. */
    attemptMs: Schema.Number,
    /** When to give up. */
    limitMs: Schema.Number,
  }),
)
export type Request = typeof Request.Type

/** Milliseconds each. */
export const Samples = Schema.Struct({ samplesMs: Schema.Array(Schema.Number) })
export const RateReply = Schema.Struct({
  calls: Schema.Number,
  seconds: Schema.Number,
  samplesMs: Schema.Array(Schema.Number),
  refused: Schema.Number,
})
export const WatchedReply = Schema.Struct({ events: Schema.Number, broken: Schema.Number })
export const BulkReply = Schema.Struct({ seconds: Schema.Number, bytes: Schema.Number })
/** Per URL: from the kill to the end of the first success of an attempt that began after it. */
export const FailoverReply = Schema.Struct({
  /** Failures while nothing was killed yet and nothing should fail. */
  before: Schema.Array(Schema.String),
  lanes: Schema.Array(
    Schema.Struct({
      gapMs: Schema.Number,
      attempts: Schema.Number,
      /** The distinct failures before it. */
      failures: Schema.Array(Schema.String),
    }),
  ),
})
export type FailoverReply = typeof FailoverReply.Type

export const Envelope = Schema.Struct({ id: Schema.Number, request: Request })
export const Reply = Schema.Struct({
  id: Schema.Number,
  value: Schema.optional(Schema.Unknown),
  error: Schema.optional(Schema.String),
})

/** What a helper process says when it listens. */
export const Listening = Schema.Struct({ port: Schema.Number })
