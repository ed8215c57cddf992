/**
 * The decisions of the core on which its promises rest, as one record: tests build the core with single rules
 * broken and expect its properties to notice.
 */
export interface Rules {
  /** Where sending goes on when a peer attaches that wants `next` and has consumed `acked`. */
  readonly resumeAt: (at: {
    readonly next: number
    readonly acked: number
    readonly sent: number
    readonly final: number | undefined
  }) => number
  /** Where sending goes on when the peer acknowledged `acked` while bytes below were being sent again. */
  readonly skipTo: (sent: number, acked: number) => number
  /** What an acknowledgement says. */
  readonly acknowledged: (consumed: number, received: number) => number
  /** How many leading bytes of a piece at `offset` were received before. */
  readonly duplicateBytes: (offset: number, received: number) => number
  /** Whether a carrier with this attach count may take the stream over. */
  readonly admits: (attach: number, highest: number) => boolean
  /** How many more bytes an end accepts from its application. */
  readonly room: (buffered: number, limit: number) => number
  /** Bytes may be sent below this offset. */
  readonly credit: (acked: number, window: number) => number
  /** Whether a peer may want `next` of a direction of which `sent` was sent at most. */
  readonly mayWant: (next: number, sent: number) => boolean
  /** Whether frames of carrier `from` count while `current` is attached. */
  readonly listens: (from: number, current: number) => boolean
  /** Whether an end that has been without a carrier since `sinceMs` is lost. */
  readonly expired: (sinceMs: number, nowMs: number, windowMs: number) => boolean
}

export const soundRules: Rules = {
  // An attach may be older than an acknowledgement that overtook it on the carrier before.
  resumeAt: ({ next, acked }) => Math.max(next, acked),
  skipTo: (sent, acked) => Math.max(sent, acked),
  acknowledged: (consumed) => consumed,
  duplicateBytes: (offset, received) => Math.max(0, received - offset),
  admits: (attach, highest) => attach > highest,
  room: (buffered, limit) => Math.max(0, limit - buffered),
  credit: (acked, window) => acked + window,
  mayWant: (next, sent) => next <= sent,
  listens: (from, current) => from === current,
  expired: (sinceMs, nowMs, windowMs) => nowMs - sinceMs >= windowMs,
}
