/** The state of one end of a resumable stream, what happens to it, and what it asks of its shell. */
import { limits } from "../../domain/Limits.ts"
import type { ControlFrame, Frame } from "../Frames.ts"
import type { Outcome, RefuseCode, ResetCode } from "../Outcome.ts"
import { emptyReplay, type ReplayBuffer } from "./ReplayBuffer.ts"

export interface StreamSettings {
  readonly resumeWindowMs: number
  readonly replayBytes: number
  readonly receiveBytes: number
  readonly chunkBytes: number
  readonly earlyBytes: number
  readonly ackBytes: number
  readonly ackDelayMs: number
  readonly probeMs: number
  readonly quietProbeMs: number
  readonly idleProbeMs: number
  readonly probeTimeoutMs: number
  readonly attachMs: number
  readonly acceptMs: number
  readonly openMs: number
  readonly moveAttempts: number
}

export const defaultSettings: StreamSettings = {
  resumeWindowMs: limits.resumeWindowMs,
  replayBytes: limits.resumeReplayBytes,
  receiveBytes: limits.resumeReceiveBytes,
  chunkBytes: limits.resumeChunkBytes,
  earlyBytes: limits.resumeEarlyBytes,
  ackBytes: limits.resumeAckBytes,
  ackDelayMs: limits.resumeAckDelayMs,
  probeMs: limits.resumeProbeMs,
  quietProbeMs: limits.resumeQuietProbeMs,
  idleProbeMs: limits.resumeIdleProbeMs,
  probeTimeoutMs: limits.resumeProbeTimeoutMs,
  attachMs: limits.resumeAttachMs,
  acceptMs: limits.resumeAcceptMs,
  openMs: limits.resumeOpenMs,
  moveAttempts: limits.resumeMoveAttempts,
}

/** The direction from this end to the peer. */
export interface Sending {
  readonly replay: ReplayBuffer
  /** The peer consumed everything below; the end of the direction counts as one. */
  readonly acked: number
  /** Next offset to send on the current carrier, and the highest that was sent on any. */
  readonly sent: number
  readonly sentMost: number
  /** Offset of the end, once the application has ended. */
  readonly final: number | undefined
  /** Credit that the peer gives beyond `acked`. */
  readonly window: number
  /** The application waits for room. */
  readonly full: boolean
}

/** The direction from the peer to this end. */
export interface Receiving {
  /** Next offset that was not received, and next that the application has not consumed. */
  readonly received: number
  readonly consumed: number
  readonly final: number | undefined
  /** Last acknowledgement sent; when the next is due by time (Infinity: nothing to say), or at once. */
  readonly ackSent: number
  readonly ackAtMs: number
  readonly ackDue: boolean
}

/** A carrier on which hello was said. */
export interface Attached {
  readonly id: number
  readonly attach: number
  readonly sinceMs: number
  /** Client: what its hello asked for and acknowledged. */
  readonly wanted: number
  readonly ackTold: number
  /** Offset that the next data frame of this carrier has. */
  readonly expect: number
  /** WELCOME was received (client) or sent (server). */
  readonly ready: boolean
  /** Client: the server has the hello, its application decides. */
  readonly pondered: boolean
  /** Last frame heard, last frame said. */
  readonly heardMs: number
  readonly saidMs: number
  /** Since when data was sent and nothing heard: a living peer would have said something. */
  readonly askedMs: number | undefined
  /** Bytes came, and no answer to a PING since. */
  readonly flowing: boolean
  /** Since when an answer to a PING is awaited. */
  readonly probeMs: number | undefined
  readonly pingDue: boolean
  readonly pongDue: boolean
  /** Server: the client shall leave this carrier. */
  readonly moveDue: boolean
  readonly resetSentMs: number | undefined
}

export interface StreamState {
  readonly role: "client" | "server"
  readonly settings: StreamSettings
  readonly send: Sending
  readonly receive: Receiving
  readonly current: Attached | undefined
  /** Client: a carrier whose WELCOME is awaited while `current` still works, or is gone. */
  readonly pending: Attached | undefined
  /** Highest attach count used or seen. */
  readonly attach: number
  /** Client: a carrier is being opened; attempts since the last WELCOME. */
  readonly opening: boolean
  readonly attempts: number
  /** Client: a move was asked for when this was the attach count; a later carrier is wanted. */
  readonly moveFrom: number | undefined
  /** Server: what the client wanted at its last attach; it cannot want less later. */
  readonly peerWanted: number
  /** Server: the application took the stream. */
  readonly accepted: boolean
  /** A WELCOME was received or sent at least once. */
  readonly welcomed: boolean
  /** Since when there is no working carrier. */
  readonly suspendedMs: number | undefined
  /** What the last attempt to open a carrier failed with. */
  readonly failure: string
  readonly completeMs: number | undefined
  readonly outcome: Outcome | undefined
  readonly outcomeMs: number
  /** Nothing is left to tell the peer; the state only answers late resumes. */
  readonly released: boolean
}

export type Event =
  /** At most `room` bytes of the application; they must not change afterwards. */
  | { readonly type: "write"; readonly bytes: Buffer }
  /** The application has more than fits; `writable` will tell. */
  | { readonly type: "full" }
  | { readonly type: "end" }
  | { readonly type: "abort"; readonly code: ResetCode; readonly text: string }
  | { readonly type: "consumed"; readonly bytes: number }
  /** The current carrier takes a frame; answered with at most one `send` or `sendData`. */
  | { readonly type: "pull" }
  | { readonly type: "tick" }
  /** The current carrier will not last: a client opens another, a server asks its client to. */
  | { readonly type: "move" }
  | { readonly type: "frame"; readonly carrier: number; readonly frame: Frame }
  | { readonly type: "malformed"; readonly carrier: number; readonly text: string }
  | { readonly type: "carrierClosed"; readonly carrier: number }
  // client
  | { readonly type: "start" }
  | { readonly type: "carrierOpened"; readonly carrier: number }
  /** `refused` ends the stream: another attempt cannot help. */
  | { readonly type: "openFailed"; readonly text: string; readonly refused: RefuseCode | undefined }
  // server
  | { readonly type: "attach"; readonly carrier: number; readonly hello: Offer }
  | { readonly type: "accept" }
  | { readonly type: "refuse"; readonly code: RefuseCode; readonly text: string }

/** What a hello says beyond identity and proof, which are the shell's. */
export interface Offer {
  readonly mode: "new" | "resume"
  readonly attach: number
  readonly next: number
  readonly ack: number
  readonly window: number
}

export type Command =
  | {
      readonly type: "send"
      readonly carrier: number
      readonly frame: Exclude<ControlFrame, { type: "hello" }>
    }
  | { readonly type: "sendData"; readonly carrier: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly type: "sendHello"; readonly carrier: number; readonly offer: Offer }
  /** `now`: nothing more can be said on it. `flush`: after what was said. `linger`: the peer closes it soon. */
  | { readonly type: "close"; readonly carrier: number; readonly how: "now" | "flush" | "linger" }
  /** Open a carrier; the first attempt after a loss at once, later ones after a pause. */
  | { readonly type: "open"; readonly attempt: number }
  | { readonly type: "deliver"; readonly bytes: Buffer }
  | { readonly type: "deliverEnd" }
  | { readonly type: "writable" }
  /** The peer consumed everything, the end included. */
  | { readonly type: "sentAll" }
  | { readonly type: "opened" }
  | { readonly type: "suspended" }
  | { readonly type: "resumed"; readonly stallMs: number }
  | { readonly type: "moved" }
  | { readonly type: "ended"; readonly outcome: Outcome }
  | { readonly type: "released" }

export type Step = readonly [StreamState, ReadonlyArray<Command>]

export const nothing: ReadonlyArray<Command> = []

/** Applies `next` and joins the commands of both. */
export const andThen = ([state, commands]: Step, next: (state: StreamState) => Step): Step => {
  const [after, more] = next(state)
  return [after, commands.length === 0 ? more : more.length === 0 ? commands : [...commands, ...more]]
}

export const initialState = (
  role: StreamState["role"],
  nowMs: number,
  settings: StreamSettings = defaultSettings,
): StreamState => ({
  role,
  settings,
  send: {
    replay: emptyReplay(),
    acked: 0,
    sent: 0,
    sentMost: 0,
    final: undefined,
    window: settings.earlyBytes,
    full: false,
  },
  receive: {
    received: 0,
    consumed: 0,
    final: undefined,
    ackSent: 0,
    ackAtMs: Number.POSITIVE_INFINITY,
    ackDue: false,
  },
  current: undefined,
  pending: undefined,
  attach: 0,
  opening: false,
  attempts: 0,
  moveFrom: undefined,
  peerWanted: 0,
  accepted: false,
  welcomed: false,
  suspendedMs: nowMs,
  failure: "no carrier was opened",
  completeMs: undefined,
  outcome: undefined,
  outcomeMs: 0,
  released: false,
})

/** Everything of both directions was consumed by its receiver, as far as this end knows. */
export const isComplete = ({ send, receive }: StreamState): boolean =>
  send.final !== undefined &&
  send.acked === send.final + 1 &&
  receive.final !== undefined &&
  receive.consumed === receive.final + 1
