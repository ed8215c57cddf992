/** How a stream ends, and what is still said to the peer after the application knows. */
import type { Outcome, ResetCode } from "../Outcome.ts"
import { dropped } from "./Sending.ts"
import { andThen, type Command, isComplete, nothing, type Step, type StreamState } from "./State.ts"

const closeAll = (state: StreamState, how: "now" | "flush"): ReadonlyArray<Command> =>
  [state.current, state.pending].flatMap((one) =>
    one === undefined ? [] : [{ type: "close" as const, carrier: one.id, how }],
  )

/** Forgets carriers and buffers; the state that stays answers late resumes with its outcome. */
export const release = (state: StreamState, how: "now" | "flush" = "flush"): Step =>
  state.released
    ? [state, nothing]
    : [
        {
          ...state,
          released: true,
          send: dropped(state.send),
          current: undefined,
          pending: undefined,
          opening: false,
        },
        [...closeAll(state, how), { type: "released" }],
      ]

/** The outcome is decided once. */
export const conclude = (state: StreamState, outcome: Outcome, nowMs: number): Step =>
  state.outcome === undefined
    ? [{ ...state, outcome, outcomeMs: nowMs, send: dropped(state.send) }, [{ type: "ended", outcome }]]
    : [state, nothing]

export const over = (state: StreamState, outcome: Outcome, nowMs: number): Step =>
  andThen(conclude(state, outcome, nowMs), release)

/** Client: asks for a carrier when one is needed and none is on its way. */
export const ensureCarrier = (state: StreamState): Step => {
  const { current, moveFrom } = state
  const needed = current === undefined || (current.ready && moveFrom !== undefined)
  if (state.role !== "client" || state.released || state.opening || state.pending !== undefined || !needed)
    return [state, nothing]
  const attempts = state.attempts + 1
  if (current !== undefined && attempts > state.settings.moveAttempts)
    return [{ ...state, moveFrom: undefined, attempts: 0 }, nothing]
  return [{ ...state, opening: true, attempts }, [{ type: "open", attempt: attempts }]]
}

/** The current carrier is gone; `how` undefined when it closed by itself. */
export const suspend = (state: StreamState, how: "now" | "flush" | undefined, nowMs: number): Step => {
  const { current } = state
  if (current === undefined) return [state, nothing]
  const commands: Array<Command> = how === undefined ? [] : [{ type: "close", carrier: current.id, how }]
  const working = state.suspendedMs === undefined
  if (working && state.outcome === undefined && !isComplete(state)) commands.push({ type: "suspended" })
  const next: StreamState = {
    ...state,
    current: undefined,
    moveFrom: undefined,
    suspendedMs: state.suspendedMs ?? nowMs,
  }
  return andThen([next, commands], (at) =>
    // The server need not wait with a farewell: the client asks, and a resume is answered with the outcome.
    at.role === "server" && at.outcome !== undefined ? release(at) : ensureCarrier(at),
  )
}

/**
 * This end gives up. The application knows at once; the peer is told as soon as there is a carrier. A stream
 * that is complete has nothing left to give up.
 */
export const reset = (state: StreamState, code: ResetCode, text: string, nowMs: number): Step => {
  if (state.outcome !== undefined || isComplete(state)) return [state, nothing]
  const ended = conclude(state, { _tag: "Reset", by: "local", code, text }, nowMs)
  const unknownToPeer = state.role === "client" ? state.attach === 0 : state.current === undefined
  return andThen(ended, (at) => (unknownToPeer ? release(at, "now") : ensureCarrier(at)))
}

/** The peer gave up, said on `carrier`. */
export const resetByPeer = (
  state: StreamState,
  carrier: number,
  reason: { readonly code: ResetCode; readonly text: string },
  nowMs: number,
): Step =>
  andThen([state, [{ type: "send", carrier, frame: { type: "done" } }]], (at) =>
    over(at, { _tag: "Reset", by: "peer", code: reason.code, text: reason.text }, nowMs),
  )

/** Nobody came back in time. What is complete at this end has arrived, whether the peer knows it or not. */
export const expire = (state: StreamState, nowMs: number): Step =>
  over(
    state,
    isComplete(state)
      ? { _tag: "Finished" }
      : {
          _tag: "Lost",
          text: state.welcomed
            ? `the stream could not be resumed within ${state.settings.resumeWindowMs} ms`
            : `the stream could not be opened: ${state.failure}`,
        },
    nowMs,
  )

/** The peer says that the stream is over for both. */
export const doneByPeer = (state: StreamState, nowMs: number): Step => {
  if (state.outcome !== undefined) return release(state)
  const { send, receive } = state
  const consumedAll = receive.final !== undefined && receive.consumed === receive.final + 1
  if (state.role === "server" || send.final === undefined || !consumedAll)
    return reset(state, "protocol", "the peer finished a stream that is not finished", nowMs)
  const finished: StreamState = { ...state, send: { ...send, acked: send.final + 1 } }
  const commands: ReadonlyArray<Command> = isComplete(state) ? nothing : [{ type: "sentAll" }]
  return andThen([finished, commands], (at) => over(at, { _tag: "Finished" }, nowMs))
}
