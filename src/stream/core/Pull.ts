/** What the current carrier says next. Answers and acknowledgements go before data, so bulk delays them by one frame at most. */

import { type ControlFrame, protocolVersion } from "../Frames.ts"
import { conclude, release } from "./Ending.ts"
import { ackSaid } from "./Receiving.ts"
import type { Rules } from "./Rules.ts"
import { advanced, endIsNext, nextBytes } from "./Sending.ts"
import {
  type Attached,
  andThen,
  type Command,
  isComplete,
  nothing,
  type Step,
  type StreamState,
} from "./State.ts"

const said = (
  state: StreamState,
  current: Attached,
  frame: Exclude<ControlFrame, { type: "hello" }>,
  nowMs: number,
): Step => [
  { ...state, current: { ...current, saidMs: nowMs } },
  [{ type: "send", carrier: current.id, frame }],
]

/** One frame, or nothing. Called while the carrier takes more. */
export const pull = (rules: Rules, state: StreamState, nowMs: number): Step => {
  const { current, outcome, role } = state
  if (current === undefined) return [state, nothing]
  if (outcome !== undefined) {
    if (outcome._tag !== "Reset" || current.resetSentMs !== undefined) return [state, nothing]
    const { code, text } = outcome
    return said(state, { ...current, resetSentMs: nowMs }, { type: "rst", code, text }, nowMs)
  }
  if (role === "server" && !state.accepted)
    return current.pongDue
      ? said(state, { ...current, pongDue: false }, { type: "pong" }, nowMs)
      : [state, nothing]
  if (!current.ready)
    return role === "server" ? welcome(rules, state, current, nowMs) : data(rules, state, current, nowMs)
  if (current.pongDue) return said(state, { ...current, pongDue: false }, { type: "pong" }, nowMs)
  if (state.receive.ackDue) {
    const offset = rules.acknowledged(state.receive.consumed, state.receive.received)
    const acked = { ...state, receive: ackSaid(state.receive, offset) }
    return said(acked, current, { type: "ack", offset }, nowMs)
  }
  if (current.pingDue) return said(state, { ...current, pingDue: false }, { type: "ping" }, nowMs)
  if (current.moveDue) return said(state, { ...current, moveDue: false }, { type: "move" }, nowMs)
  return data(rules, state, current, nowMs)
}

const welcome = (rules: Rules, state: StreamState, current: Attached, nowMs: number): Step => {
  const { receive, send, settings } = state
  const ack = rules.acknowledged(receive.consumed, receive.received)
  return said(
    { ...state, welcomed: true, receive: ackSaid(receive, ack) },
    { ...current, ready: true, pongDue: false },
    {
      type: "welcome",
      version: protocolVersion,
      next: receive.received,
      ack,
      from: send.sent,
      window: settings.receiveBytes,
      resumeWindowMs: settings.resumeWindowMs,
    },
    nowMs,
  )
}

const data = (rules: Rules, state: StreamState, current: Attached, nowMs: number): Step => {
  const { send, settings } = state
  const bytes = nextBytes(rules, send, settings.chunkBytes)
  const asking: Attached = { ...current, saidMs: nowMs, askedMs: current.askedMs ?? nowMs }
  if (bytes.length > 0) {
    const command: Command = { type: "sendData", carrier: current.id, offset: send.sent, bytes }
    return [{ ...state, send: advanced(send, send.sent + bytes.length), current: asking }, [command]]
  }
  if (endIsNext(send)) {
    const frame = { type: "fin", offset: send.sent } as const
    return [
      { ...state, send: advanced(send, send.sent + 1), current: asking },
      [{ type: "send", carrier: current.id, frame }],
    ]
  }
  if (state.role === "client" || !isComplete(state)) return [state, nothing]
  return andThen(
    andThen(said(state, current, { type: "done" }, nowMs), (at) => conclude(at, { _tag: "Finished" }, nowMs)),
    release,
  )
}
