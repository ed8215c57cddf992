/** The direction from the peer: which bytes are new, when they are acknowledged. */
import type { Rules } from "./Rules.ts"
import type { Attached, Receiving, StreamSettings } from "./State.ts"

export interface Received {
  readonly receive: Receiving
  readonly current: Attached
  /** Bytes for the application, if any are new. */
  readonly fresh: Buffer | undefined
  readonly ended: boolean
}

/**
 * Each carrier's data goes on from the offset agreed at its attach. It may leave out what was acknowledged
 * meanwhile; any other offset contradicts what the peer said before.
 */
const follows = (receive: Receiving, { expect }: Attached, offset: number): boolean =>
  offset === expect || (offset > expect && offset <= receive.consumed)

/** A piece of data; a text says what is wrong with it. */
export const dataArrived = (
  rules: Rules,
  settings: StreamSettings,
  receive: Receiving,
  current: Attached,
  offset: number,
  bytes: Buffer,
): Received | string => {
  const end = offset + bytes.length
  if (!follows(receive, current, offset)) return `data at offset ${offset}, expected ${current.expect}`
  if (receive.final !== undefined && end > receive.final) return `data beyond the end at ${receive.final}`
  if (end > receive.consumed + settings.receiveBytes) return `data at offset ${offset} without credit`
  const known = Math.min(rules.duplicateBytes(offset, receive.received), bytes.length)
  return {
    receive: { ...receive, received: Math.max(receive.received, end) },
    current: { ...current, expect: end },
    fresh: known === bytes.length ? undefined : known === 0 ? bytes : bytes.subarray(known),
    ended: false,
  }
}

/** The peer's direction ends at `offset`. */
export const endArrived = (
  receive: Receiving,
  current: Attached,
  offset: number,
  nowMs: number,
): Received | string => {
  if (!follows(receive, current, offset)) return `end at offset ${offset}, expected ${current.expect}`
  const next = { ...current, expect: offset + 1 }
  if (receive.final !== undefined) {
    return offset === receive.final
      ? { receive: { ...receive, ackDue: true }, current: next, fresh: undefined, ended: false }
      : `end at offset ${offset}, earlier at ${receive.final}`
  }
  if (receive.received !== offset) return `end at offset ${offset}, received up to ${receive.received}`
  return {
    receive: endConsumed({ ...receive, final: offset, received: offset + 1 }, nowMs),
    current: next,
    fresh: undefined,
    ended: true,
  }
}

/** The end counts as consumed once every byte before it is: nothing is left that could get lost. */
const endConsumed = (receive: Receiving, nowMs: number): Receiving =>
  receive.final !== undefined && receive.consumed === receive.final
    ? { ...receive, consumed: receive.final + 1, ackDue: true, ackAtMs: nowMs }
    : receive

/** The application took `bytes` more. */
export const consumed = (
  rules: Rules,
  settings: StreamSettings,
  receive: Receiving,
  bytes: number,
  nowMs: number,
): Receiving => {
  const next = endConsumed({ ...receive, consumed: receive.consumed + bytes }, nowMs)
  const unsaid = rules.acknowledged(next.consumed, next.received) - next.ackSent
  if (next.ackDue || unsaid <= 0) return next
  if (unsaid >= settings.ackBytes) return { ...next, ackDue: true }
  return next.ackAtMs === Number.POSITIVE_INFINITY ? { ...next, ackAtMs: nowMs + settings.ackDelayMs } : next
}

/** An acknowledgement of `offset` went out. */
export const ackSaid = (receive: Receiving, offset: number): Receiving => ({
  ...receive,
  ackSent: offset,
  ackDue: false,
  ackAtMs: Number.POSITIVE_INFINITY,
})
