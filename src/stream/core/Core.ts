/**
 * One end of a resumable stream as a function without I/O, timers or randomness: what happened goes in, what is
 * to be done comes out. States are values; the function may be applied to the same state twice.
 */
import type { DataFrame, FinFrame, Frame } from "../Frames.ts"
import { attachFailed, beforeWelcome, carrierOpened, openFailed } from "./ClientAttach.ts"
import { doneByPeer, ensureCarrier, release, reset, resetByPeer, suspend } from "./Ending.ts"
import { heard, tick, wakeAt } from "./Liveness.ts"
import { pull } from "./Pull.ts"
import { consumed, dataArrived, endArrived } from "./Receiving.ts"
import { type Rules, soundRules } from "./Rules.ts"
import { acknowledged, credited, endOfWrites, roomOf, written } from "./Sending.ts"
import { attach, refuse } from "./ServerAttach.ts"
import {
  type Attached,
  type Command,
  type Event,
  initialState,
  isComplete,
  nothing,
  type Step,
  type StreamState,
} from "./State.ts"

export interface Core {
  readonly initial: typeof initialState
  /** Applies one event at a time that does not go back (milliseconds of a monotonic clock). */
  readonly step: (state: StreamState, event: Event, nowMs: number) => Step
  /** When a `tick` is due; Infinity for never. */
  readonly wakeAt: (state: StreamState) => number
  /** The largest `write` that the state takes. */
  readonly room: (state: StreamState) => number
}

/** Data and ends from the peer, on the current carrier. */
const payloadArrived = (
  rules: Rules,
  state: StreamState,
  current: Attached,
  frame: DataFrame | FinFrame,
  nowMs: number,
): Step => {
  const { receive, settings } = state
  const arrived =
    frame.type === "data"
      ? dataArrived(rules, settings, receive, current, frame.offset, frame.bytes)
      : endArrived(receive, current, frame.offset, nowMs)
  if (typeof arrived === "string") return reset(state, "protocol", arrived, nowMs)
  // A peer that sends must hear from us even while our application consumes nothing.
  const silent = current.ready && nowMs - current.saidMs >= settings.probeMs
  const commands: ReadonlyArray<Command> =
    arrived.fresh !== undefined
      ? [{ type: "deliver", bytes: arrived.fresh }]
      : arrived.ended
        ? [{ type: "deliverEnd" }]
        : nothing
  return [
    {
      ...state,
      receive: silent ? { ...arrived.receive, ackDue: true } : arrived.receive,
      current: { ...arrived.current, flowing: true },
    },
    commands,
  ]
}

const ackArrived = (rules: Rules, state: StreamState, offset: number, nowMs: number): Step => {
  const after = acknowledged(rules, state.send, offset)
  if (after === undefined)
    return reset(state, "protocol", `acknowledgement of ${offset}, which was not sent`, nowMs)
  const { send, news } = credited(state.send, after)
  return [{ ...state, send }, news]
}

const currentFrame = (
  rules: Rules,
  state: StreamState,
  attached: Attached,
  frame: Frame,
  nowMs: number,
): Step => {
  const current = heard(attached, nowMs)
  const at: StreamState = { ...state, current }
  if (state.outcome !== undefined) {
    if (frame.type === "rst") return resetByPeer(at, current.id, frame, nowMs)
    return frame.type === "done" ? release(at) : [at, nothing]
  }
  switch (frame.type) {
    case "data":
    case "fin":
      return payloadArrived(rules, at, current, frame, nowMs)
    case "ack":
      return ackArrived(rules, at, frame.offset, nowMs)
    case "ping":
      return [{ ...at, current: { ...current, pongDue: true } }, nothing]
    case "pong":
      return [{ ...at, current: { ...current, flowing: false } }, nothing]
    case "rst":
      return resetByPeer(at, current.id, frame, nowMs)
    case "done":
      return doneByPeer(at, nowMs)
    case "move":
      return at.role === "client" ? move(at) : [at, nothing]
    default:
      return reset(at, "protocol", `unexpected ${frame.type} frame`, nowMs)
  }
}

const frameArrived = (
  rules: Rules,
  state: StreamState,
  carrier: number,
  frame: Frame,
  nowMs: number,
): Step => {
  if (state.released) return [state, nothing]
  const { current, pending } = state
  if (pending?.id === carrier) return beforeWelcome(rules, state, pending, frame, nowMs)
  if (current === undefined || !rules.listens(carrier, current.id)) return [state, nothing]
  if (state.role === "client" && !current.ready) return beforeWelcome(rules, state, current, frame, nowMs)
  return currentFrame(rules, state, current, frame, nowMs)
}

const carrierClosed = (state: StreamState, carrier: number, nowMs: number): Step => {
  const closed: StreamState = { ...state, failure: "the carrier closed" }
  if (state.current?.id === carrier) return suspend(closed, undefined, nowMs)
  return state.pending?.id === carrier ? attachFailed(closed, carrier, undefined, nowMs) : [state, nothing]
}

/** The current carrier is to be left. */
const move = (state: StreamState): Step => {
  if (isOver(state)) return [state, nothing]
  if (state.role === "client") return ensureCarrier({ ...state, moveFrom: state.attach })
  const { current } = state
  return [current === undefined ? state : { ...state, current: { ...current, moveDue: true } }, nothing]
}

const isOver = (state: StreamState): boolean => state.released || state.outcome !== undefined

const apply = (rules: Rules, state: StreamState, event: Event, nowMs: number): Step => {
  switch (event.type) {
    case "pull":
      return pull(rules, state, nowMs)
    case "frame":
      return frameArrived(rules, state, event.carrier, event.frame, nowMs)
    case "write":
      if (isOver(state) || state.send.final !== undefined) return [state, nothing]
      return [{ ...state, send: written(state.send, event.bytes) }, nothing]
    case "full":
      return [{ ...state, send: { ...state.send, full: true } }, nothing]
    case "consumed":
      if (isOver(state)) return [state, nothing]
      return [
        { ...state, receive: consumed(rules, state.settings, state.receive, event.bytes, nowMs) },
        nothing,
      ]
    case "end":
      return isOver(state) ? [state, nothing] : [{ ...state, send: endOfWrites(state.send) }, nothing]
    case "abort":
      return reset(state, event.code, event.text, nowMs)
    case "tick":
      return tick(rules, state, nowMs)
    case "malformed":
      return event.carrier === state.current?.id || event.carrier === state.pending?.id
        ? reset(state, "protocol", event.text, nowMs)
        : [state, nothing]
    case "carrierClosed":
      return carrierClosed(state, event.carrier, nowMs)
    case "start":
      return ensureCarrier(state)
    case "carrierOpened":
      return carrierOpened(rules, state, event.carrier, nowMs)
    case "openFailed":
      return openFailed(state, event.text, event.refused, nowMs)
    case "move":
      return move(state)
    case "attach":
      return attach(rules, state, event.carrier, event.hello, nowMs)
    case "accept":
      return [{ ...state, accepted: true }, nothing]
    case "refuse":
      return refuse(state, event.code, event.text, nowMs)
  }
}

export const makeCore = (rules: Rules = soundRules): Core => ({
  initial: initialState,
  step: (state, event, nowMs) => {
    const step = apply(rules, state, event, nowMs)
    const [next] = step
    return next.send.final !== undefined && next.completeMs === undefined && isComplete(next)
      ? [{ ...next, completeMs: nowMs }, step[1]]
      : step
  },
  wakeAt,
  room: (state) => (isOver(state) ? 0 : roomOf(rules, state.send, state.settings.replayBytes)),
})
