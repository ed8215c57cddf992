/**
 * The pause before a reconnect: exponential with full jitter. After a restart of a gateway all its supervisors
 * come back at once; a pause drawn evenly from the whole range spreads them, a pause around a common value
 * would keep them in step.
 */
export interface BackoffPolicy {
  readonly baseMs: number
  readonly capMs: number
  /** A gateway's advice above this is cut to it. */
  readonly adviceMs: number
  /** A gateway's spread above this is cut to it. */
  readonly spreadMs: number
}

/** The upper end of the pause after `failures` failed or short sessions in a row; the first failure is 1. */
export const backoffBoundMs = (policy: BackoffPolicy, failures: number): number =>
  failures <= 0 ? 0 : Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(failures - 1, 52))

/** What the gateway said: how long to stay away, and over how long its sessions come back when they are lost together. */
export interface ReconnectAdvice {
  readonly delayMs?: number | undefined
  readonly spreadMs?: number | undefined
}

/**
 * `random` is in [0, 1). A spread widens the range from which the pause is drawn. A delay replaces its lower end,
 * and the jitter of one base step stays on top so that equal advice does not put supervisors in step.
 */
export const reconnectPauseMs = (
  policy: BackoffPolicy,
  failures: number,
  random: number,
  { delayMs = 0, spreadMs = 0 }: ReconnectAdvice,
): number =>
  delayMs > 0
    ? Math.min(delayMs, policy.adviceMs) + random * policy.baseMs
    : random * Math.max(backoffBoundMs(policy, failures), Math.min(spreadMs, policy.spreadMs))

/** Failures in a row after a session ended: one that was accepted and lived long enough starts a new series. */
export const failuresAfter = (
  failures: number,
  session: { readonly accepted: boolean; readonly livedMs: number },
  resetAfterMs: number,
): number => (session.accepted && session.livedMs >= resetAfterMs ? 1 : failures + 1)
