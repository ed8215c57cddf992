/** The client's side of attaching carriers: it opens them, says hello and takes the stream over to the newest. */
import type { ControlFrame, RefuseFrame, WelcomeFrame } from "../Frames.ts"
import { protocolVersion } from "../Frames.ts"
import type { RefuseCode } from "../Outcome.ts"
import { doneByPeer, ensureCarrier, over, release, reset, resetByPeer, suspend } from "./Ending.ts"
import { ackSaid } from "./Receiving.ts"
import type { Rules } from "./Rules.ts"
import { acknowledged, credited, resumed } from "./Sending.ts"
import {
  type Attached,
  andThen,
  type Command,
  isComplete,
  nothing,
  type Step,
  type StreamState,
} from "./State.ts"

export const newAttached = (id: number, attach: number, nowMs: number): Attached => ({
  id,
  attach,
  sinceMs: nowMs,
  wanted: 0,
  ackTold: 0,
  expect: 0,
  ready: false,
  pondered: false,
  heardMs: nowMs,
  saidMs: nowMs,
  askedMs: undefined,
  flowing: false,
  probeMs: undefined,
  pingDue: false,
  pongDue: false,
  moveDue: false,
  resetSentMs: undefined,
})

/** A carrier is open. Data follows the first hello of a stream at once; later ones wait for their answer. */
export const carrierOpened = (rules: Rules, state: StreamState, id: number, nowMs: number): Step => {
  if (state.released) return [state, [{ type: "close", carrier: id, how: "now" }]]
  const { receive, settings } = state
  const attach = state.attach + 1
  const ack = rules.acknowledged(receive.consumed, receive.received)
  const attached = { ...newAttached(id, attach, nowMs), wanted: receive.received, ackTold: ack }
  const offer = {
    mode: state.welcomed || state.outcome !== undefined ? ("resume" as const) : ("new" as const),
    attach,
    next: receive.received,
    ack,
    window: settings.receiveBytes,
  }
  return [
    { ...state, opening: false, attach, ...(attach === 1 ? { current: attached } : { pending: attached }) },
    [{ type: "sendHello", carrier: id, offer }],
  ]
}

export const openFailed = (
  state: StreamState,
  text: string,
  refused: RefuseCode | undefined,
  nowMs: number,
): Step => {
  const failed: StreamState = { ...state, opening: false, failure: text }
  if (refused === undefined || state.released) return ensureCarrier(failed)
  if (state.current !== undefined) return [{ ...failed, moveFrom: undefined, attempts: 0 }, nothing]
  return refusedWith(failed, refused, text, nowMs)
}

const refusedWith = (state: StreamState, code: RefuseCode, text: string, nowMs: number): Step => {
  if (isComplete(state)) return over(state, { _tag: "Finished" }, nowMs)
  return over(
    state,
    state.welcomed
      ? { _tag: "Lost", text: `the stream was not resumed: ${text}` }
      : { _tag: "Refused", code, text },
    nowMs,
  )
}

/** A carrier that did not get as far as WELCOME is replaced. */
const abandon = (state: StreamState, id: number, how: "now" | undefined, nowMs: number): Step => {
  if (state.current?.id === id) return suspend(state, how, nowMs)
  const commands: ReadonlyArray<Command> = how === undefined ? nothing : [{ type: "close", carrier: id, how }]
  return andThen([{ ...state, pending: undefined }, commands], ensureCarrier)
}

export const attachFailed = abandon

/** A frame on a carrier whose WELCOME is awaited. */
export const beforeWelcome = (
  rules: Rules,
  state: StreamState,
  attached: Attached,
  frame: ControlFrame | { readonly type: "data" },
  nowMs: number,
): Step => {
  switch (frame.type) {
    case "welcome":
      return welcome(rules, state, attached, frame, nowMs)
    case "refuse":
      return refused(state, attached, frame, nowMs)
    case "rst":
      return resetByPeer(state, attached.id, frame, nowMs)
    case "pong": {
      const pondered = { ...attached, pondered: true }
      const first = state.current?.id === attached.id
      return [{ ...state, ...(first ? { current: pondered } : { pending: pondered }) }, nothing]
    }
    case "done":
      return state.outcome === undefined ? abandon(state, attached.id, "now", nowMs) : release(state)
    default:
      return abandon(state, attached.id, "now", nowMs)
  }
}

const welcome = (
  rules: Rules,
  state: StreamState,
  attached: Attached,
  frame: WelcomeFrame,
  nowMs: number,
): Step => {
  const early = attached.attach === 1
  // What follows a first hello was sent in one go: there is nothing to send again.
  const send = early
    ? frame.next <= state.send.sentMost
      ? acknowledged(rules, { ...state.send, window: frame.window }, frame.ack)
      : undefined
    : frame.next < state.send.acked
      ? undefined
      : resumed(rules, state.send, frame)
  const fits = frame.from >= attached.wanted && frame.from <= state.receive.received
  const current: Attached = {
    ...attached,
    ready: true,
    expect: frame.from,
    heardMs: nowMs,
    askedMs: undefined,
  }
  const replaced = state.current?.id === attached.id ? undefined : state.current
  const { moveFrom } = state
  const attachedState: StreamState = {
    ...state,
    current,
    pending: undefined,
    attempts: 0,
    moveFrom: moveFrom !== undefined && attached.attach > moveFrom ? undefined : moveFrom,
  }
  if (frame.version !== protocolVersion || send === undefined || !fits)
    return andThen(replacedBy(attachedState, replaced), (at) =>
      reset(at, "protocol", "the peer resumed at offsets it cannot have", nowMs),
    )
  const next: StreamState = {
    ...attachedState,
    send,
    // What was consumed since the hello may have been acknowledged on the carrier before, or to nobody.
    receive: {
      ...ackSaid(state.receive, attached.ackTold),
      ackDue: rules.acknowledged(state.receive.consumed, state.receive.received) > attached.ackTold,
    },
    welcomed: true,
    suspendedMs: undefined,
    settings: {
      ...state.settings,
      resumeWindowMs: Math.min(state.settings.resumeWindowMs, frame.resumeWindowMs),
    },
  }
  return andThen(
    andThen(replacedBy(next, replaced), (at) => tell(at, state, nowMs)),
    ensureCarrier,
  )
}

/** What the application hears of a WELCOME; one that has ended, or has all it wanted, hears nothing. */
const tell = (state: StreamState, before: StreamState, nowMs: number): Step => {
  if (before.outcome !== undefined || isComplete(before)) return [state, nothing]
  const { send, news } = credited(before.send, state.send)
  const first: Command = !before.welcomed
    ? { type: "opened" }
    : before.suspendedMs !== undefined
      ? { type: "resumed", stallMs: nowMs - before.suspendedMs }
      : { type: "moved" }
  return [{ ...state, send }, [first, ...news]]
}

const replacedBy = (state: StreamState, old: Attached | undefined): Step => [
  state,
  old === undefined ? nothing : [{ type: "close", carrier: old.id, how: "flush" }],
]

const refused = (state: StreamState, attached: Attached, frame: RefuseFrame, nowMs: number): Step => {
  const { code, text } = frame
  // Only a stream that is over for the server as well needs no farewell.
  if (code === "stale") return abandon(state, attached.id, "now", nowMs)
  if (state.outcome !== undefined) return release(state)
  switch (code) {
    case "finished":
      return doneByPeer(state, nowMs)
    case "reset":
      return over(state, { _tag: "Reset", by: "peer", code: frame.reset, text }, nowMs)
    case "lost":
      return isComplete(state)
        ? over(state, { _tag: "Finished" }, nowMs)
        : over(state, { _tag: "Lost", text: `the peer lost the stream: ${text}` }, nowMs)
    default:
      return refusedWith(state, code, text, nowMs)
  }
}
