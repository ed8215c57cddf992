/** The direction from this end to its peer: what may be sent next, and what an acknowledgement frees. */
import { append, bufferedBytes, dropBefore, emptyReplay, peek } from "./ReplayBuffer.ts"
import type { Rules } from "./Rules.ts"
import type { Command, Sending } from "./State.ts"

/** How many bytes the application may write now. */
export const roomOf = (rules: Rules, send: Sending, replayBytes: number): number =>
  send.final === undefined ? rules.room(bufferedBytes(send.replay), replayBytes) : 0

export const written = (send: Sending, bytes: Buffer): Sending => ({
  ...send,
  replay: append(send.replay, bytes),
})

export const endOfWrites = (send: Sending): Sending =>
  send.final === undefined ? { ...send, final: send.replay.end } : send

/** The next bytes for the peer: empty when it has all, or has no credit for more. */
export const nextBytes = (rules: Rules, send: Sending, chunkBytes: number): Buffer =>
  peek(
    send.replay,
    send.sent,
    Math.max(0, Math.min(chunkBytes, rules.credit(send.acked, send.window) - send.sent)),
  )

export const endIsNext = ({ final, sent }: Sending): boolean => final !== undefined && sent === final

export const advanced = (send: Sending, sent: number): Sending => ({
  ...send,
  sent,
  sentMost: Math.max(send.sentMost, sent),
})

/** The peer consumed everything below `offset`; undefined when it cannot have. */
export const acknowledged = (rules: Rules, send: Sending, offset: number): Sending | undefined => {
  if (offset > send.sentMost) return undefined
  if (offset <= send.acked) return send
  return {
    ...send,
    acked: offset,
    sent: rules.skipTo(send.sent, offset),
    replay: dropBefore(send.replay, Math.min(offset, send.replay.end)),
  }
}

/** A peer attached on a new carrier and wants `next`, having consumed `ack`; undefined when it cannot. */
export const resumed = (
  rules: Rules,
  send: Sending,
  peer: { readonly next: number; readonly ack: number; readonly window: number },
): Sending | undefined => {
  if (peer.ack > peer.next || !rules.mayWant(peer.next, send.sentMost)) return undefined
  const freed = acknowledged(rules, send, peer.ack)
  if (freed === undefined) return undefined
  const { acked, sent, final } = freed
  return {
    ...freed,
    window: peer.window,
    sent: rules.resumeAt({ next: peer.next, acked, sent, final }),
  }
}

/** What the application learns when `after` has more acknowledged than `before`. */
export const credited = (
  before: Sending,
  after: Sending,
): { readonly send: Sending; readonly news: ReadonlyArray<Command> } => {
  if (after.acked === before.acked) return { send: after, news: [] }
  const news: Array<Command> = after.full ? [{ type: "writable" }] : []
  if (after.final !== undefined && after.acked > after.final) news.push({ type: "sentAll" })
  return { send: after.full ? { ...after, full: false } : after, news }
}

/** Nothing will be sent any more. */
export const dropped = (send: Sending): Sending => ({ ...send, replay: emptyReplay(send.replay.end) })
