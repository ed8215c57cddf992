/** How a resumable stream ends: the same at both of its ends. */
import * as Data from "effect/Data"

/** Why an end reset a stream. `protocol`: the peer broke the rules of `Frames.ts`. Positions are on the wire. */
export const resetCodes = ["cancelled", "protocol", "target", "internal", "revoked"] as const
export type ResetCode = (typeof resetCodes)[number]

/** Why a server does not take a new stream, or a resume. Positions are on the wire. */
export const refuseCodes = [
  /** The server does not speak this version. */
  "version",
  /** No such stream here: it never was, it ended long ago, or the process that had it is gone. */
  "unknown",
  /** A later carrier of the same stream is attached. */
  "stale",
  /** The proof or the binding is not that of the stream. */
  "denied",
  /** Offsets that this stream cannot have. */
  "offsets",
  /** Too many streams. */
  "limit",
  /** The server does not serve this kind. */
  "kind",
  /** The target of the stream cannot be reached. */
  "target",
  /** The target did not answer in time. */
  "timeout",
] as const
export type RefuseCode = (typeof refuseCodes)[number]

export type Outcome =
  /** Every byte of both directions was consumed by the other end. */
  | { readonly _tag: "Finished" }
  | {
      readonly _tag: "Reset"
      readonly by: "local" | "peer"
      readonly code: ResetCode
      readonly text: string
    }
  /** No carrier within the resume window, or the peer has lost its part. */
  | { readonly _tag: "Lost"; readonly text: string }
  /** The stream never began. */
  | { readonly _tag: "Refused"; readonly code: RefuseCode; readonly text: string }

/** The stream could not be resumed in time; bytes under way may or may not have arrived. */
export class StreamLost extends Data.TaggedError("StreamLost")<{ readonly message: string }> {}

/** One end gave the stream up. */
export class StreamReset extends Data.TaggedError("StreamReset")<{
  readonly by: "local" | "peer"
  readonly code: ResetCode
  readonly message: string
}> {}

/** The server did not take the stream; nothing of it was consumed. */
export class StreamRefused extends Data.TaggedError("StreamRefused")<{
  readonly code: RefuseCode
  readonly message: string
}> {}

export type StreamError = StreamLost | StreamReset | StreamRefused

/** The error of an outcome; undefined for a stream that finished. */
export const errorOf = (outcome: Outcome): StreamError | undefined => {
  switch (outcome._tag) {
    case "Finished":
      return undefined
    case "Lost":
      return new StreamLost({ message: outcome.text })
    case "Reset":
      return new StreamReset({ by: outcome.by, code: outcome.code, message: outcome.text })
    case "Refused":
      return new StreamRefused({ code: outcome.code, message: outcome.text })
  }
}
