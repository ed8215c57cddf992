/** Deadlines of one end: dead carriers, unanswered hellos, delayed acknowledgements, the resume window. */
import { attachFailed } from "./ClientAttach.ts"
import { expire, release, suspend } from "./Ending.ts"
import type { Rules } from "./Rules.ts"
import { type Attached, nothing, type Step, type StreamState } from "./State.ts"

const never = Number.POSITIVE_INFINITY

/** A frame arrived on the carrier. */
export const heard = (current: Attached, nowMs: number): Attached => ({
  ...current,
  heardMs: nowMs,
  askedMs: undefined,
  probeMs: undefined,
  pingDue: false,
})

/**
 * When a PING falls due on a silent carrier: soon after something was said, or heard while bytes are still out
 * (it may have been said before they were), else rarely. A client to whom bytes came asks once when they stop: one
 * that only listens would not notice otherwise, and only clients can open another carrier.
 */
const probeAt = ({ settings, send, role }: StreamState, current: Attached): number => {
  if (current.askedMs !== undefined) return current.askedMs + settings.probeMs
  if (send.sent > send.acked) return current.heardMs + settings.probeMs
  return (
    current.heardMs + (role === "client" && current.flowing ? settings.quietProbeMs : settings.idleProbeMs)
  )
}

/** A hello is answered at once, or after the server's application decided, by its deadline at the latest. */
const welcomeUntil = ({ settings }: StreamState, { sinceMs, pondered }: Attached): number =>
  sinceMs + settings.attachMs + (pondered ? settings.acceptMs : 0)

const deadAt = (state: StreamState, current: Attached): number => {
  const { settings } = state
  if (current.resetSentMs !== undefined) return current.resetSentMs + settings.attachMs
  // A server waits for its application, which has a deadline of its own.
  if (!current.ready) return state.role === "client" ? welcomeUntil(state, current) : never
  return current.probeMs === undefined ? never : current.probeMs + settings.probeTimeoutMs
}

const windowOf = ({ settings, welcomed, role }: StreamState): number =>
  welcomed || role === "server" ? settings.resumeWindowMs : settings.openMs

/** When `tick` has something to do next; Infinity when only another event can. */
export const wakeAt = (state: StreamState): number => {
  if (state.released) return never
  const { current, pending, settings } = state
  let at = never
  if (state.suspendedMs !== undefined) at = state.suspendedMs + windowOf(state)
  if (state.completeMs !== undefined) at = Math.min(at, state.completeMs + settings.resumeWindowMs)
  if (state.outcome !== undefined) at = Math.min(at, state.outcomeMs + settings.resumeWindowMs)
  if (pending !== undefined) at = Math.min(at, welcomeUntil(state, pending))
  if (current !== undefined) {
    at = Math.min(at, deadAt(state, current))
    if (current.ready) {
      if (current.probeMs === undefined) at = Math.min(at, probeAt(state, current))
      if (!state.receive.ackDue) at = Math.min(at, state.receive.ackAtMs)
    }
  }
  return at
}

/** The first deadline that has passed; the shell ticks until none has. */
export const tick = (rules: Rules, state: StreamState, nowMs: number): Step => {
  if (state.released) return [state, nothing]
  const { current, pending, settings, suspendedMs } = state
  const since = state.outcome === undefined ? state.completeMs : state.outcomeMs
  if (since !== undefined && nowMs - since >= settings.resumeWindowMs)
    return state.outcome === undefined ? expire(state, nowMs) : release(state, "now")
  if (suspendedMs !== undefined && rules.expired(suspendedMs, nowMs, windowOf(state))) {
    return state.outcome === undefined ? expire(state, nowMs) : release(state, "now")
  }
  if (pending !== undefined && nowMs >= welcomeUntil(state, pending))
    return attachFailed(state, pending.id, "now", nowMs)
  if (current === undefined) return [state, nothing]
  if (nowMs >= deadAt(state, current)) return suspend(state, "now", nowMs)
  let next = state
  if (current.ready && current.probeMs === undefined && nowMs >= probeAt(state, current))
    next = { ...next, current: { ...current, probeMs: nowMs, pingDue: true } }
  if (nowMs >= state.receive.ackAtMs)
    next = { ...next, receive: { ...state.receive, ackDue: true, ackAtMs: never } }
  return [next, nothing]
}
