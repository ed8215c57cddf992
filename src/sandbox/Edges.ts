/** What the Sandbox actor asks of edges, wherever they are. The edge layer provides it. */
import { Context, Effect, Schema } from "effect"
import type {
  DeadlineExceeded,
  FailedPrecondition,
  LimitReached,
  StaleEpoch,
  Unavailable,
} from "../domain/Errors.ts"
import { Fence } from "../domain/Fence.ts"
import { type Presence, RelayTarget, StreamCarrier } from "../domain/Sandbox.ts"
import type { Slot } from "./Admission.ts"

/** The session is not on that replica, or the replica cannot be reached: the actor looks again. */
export class SessionGone extends Schema.TaggedError<SessionGone>()("SessionGone", {
  message: Schema.String,
}) {}

/** Where the bytes of a relay go: the client's replica, with the single-use ticket it issued. */
export const Rendezvous = Schema.Struct({
  replica: Schema.String,
  ticket: Schema.String,
})
export type Rendezvous = typeof Rendezvous.Type

export const EdgeOpen = Schema.Struct({
  sandboxId: Schema.String,
  sessionId: Schema.String,
  channelId: Schema.String,
  target: RelayTarget,
  serviceId: Schema.String,
  /** SHA-256 of the SSH session token that the relay uses; empty when it uses none. */
  tokenHash: Schema.String,
  /** Present when the caller can resume: the supervisor serves it as a stream if it can. */
  stream: Schema.optional(StreamCarrier),
  rendezvous: Rendezvous,
  fence: Fence,
})
export type EdgeOpen = typeof EdgeOpen.Type

/** How a relay was opened: `stream` when it carries a resumable stream. */
export const EdgeOpened = Schema.Struct({ stream: Schema.Boolean })
export type EdgeOpened = typeof EdgeOpened.Type

export class Edges extends Context.Tag("holdfast/Edges")<
  Edges,
  {
    /** Succeeds once the supervisor has claimed the relay and the bytes are joined. */
    readonly open: (
      replica: string,
      request: EdgeOpen,
    ) => Effect.Effect<
      EdgeOpened,
      SessionGone | StaleEpoch | Unavailable | DeadlineExceeded | LimitReached | FailedPrecondition
    >
    /** Ends a session that was superseded or stopped. A replica that is gone has no session. */
    readonly endSession: (
      replica: string,
      request: { readonly sandboxId: string; readonly sessionId: string; readonly fence: Fence },
    ) => Effect.Effect<void>
    /**
     * Relays with a token, open and opening, on those replicas, or on every live one. From then on the replicas asked refuse lower
     * epochs of the shard.
     */
    readonly slots: (
      sandboxId: string,
      fence: Fence,
      replicas?: ReadonlySet<string>,
    ) => Effect.Effect<ReadonlyArray<Slot>, Unavailable>
    /** Cuts relays on every replica: those of one token, or all of the sandbox. */
    readonly cut: (sandboxId: string, tokenHash: string | undefined, fence: Fence) => Effect.Effect<void>
    readonly isLive: (replica: string) => boolean
  }
>() {}

/** Ends a session in its own time: nobody waits for the replica that holds it. */
export const endSessionLater = (
  edges: Context.Tag.Service<Edges>,
  { replica, sandboxId, sessionId }: Presence,
  fence: Fence,
): Effect.Effect<unknown> => Effect.forkDaemon(edges.endSession(replica, { sandboxId, sessionId, fence }))
