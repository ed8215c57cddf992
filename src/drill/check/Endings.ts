/**
 * What became of streams that are as durable as the replicas they cross: each may end with the loss of one of them,
 * with UNAVAILABLE, and for no other reason. Pure. All times are of one monotonic clock, in ms.
 */
import { limits } from "../../domain/Limits.ts"

/** A stream that broke off, or a call that failed. */
export interface Ending {
  readonly startedAtMs: number
  readonly endedAtMs: number
  /** It had carried something, so it was not refused. */
  readonly carried: boolean
  /** What the client got to read. */
  readonly text: string
}

/** A replica that ended, and with it what it carried. */
export interface Loss {
  /** Nothing ends before: the deadline of its drain, or the kill. */
  readonly fromMs: number
  /** It has ended. */
  readonly goneMs: number
}

export interface Verdict {
  /** Ended with their replica, as they must. */
  readonly atLoss: number
  /** Ended although no replica was lost then: before a drain's deadline, or late. */
  readonly untimely: number
  /** Ended with their replica, and with another word than UNAVAILABLE. */
  readonly otherwise: number
  /** Calls that failed and were not under way when a replica ended. */
  readonly refused: number
}

/** The library's own words stand behind that of the local socket. It takes CANCELLED for a kind of Unavailable. */
const isUnavailable = (text: string): boolean =>
  /\bUnavailable: /.test(text) && !/the server cancelled the call/.test(text)

/** A call that was made before its client could notice that the replica at the other end is gone. */
const metTheEnd = ({ startedAtMs, text }: Ending, goneMs: number): boolean =>
  startedAtMs <= goneMs ||
  (startedAtMs <= goneMs + limits.drillNoticeMs && /the connection to the server/.test(text))

export const judgeEndings = (endings: ReadonlyArray<Ending>, losses: ReadonlyArray<Loss>): Verdict => {
  const found = { atLoss: 0, untimely: 0, otherwise: 0, refused: 0 }
  for (const ending of endings) {
    const { endedAtMs, carried, text } = ending
    const withReplica = losses.some(
      ({ fromMs, goneMs }) =>
        metTheEnd(ending, goneMs) && endedAtMs >= fromMs && endedAtMs <= goneMs + limits.drillEndMs,
    )
    if (!withReplica) found[carried ? "untimely" : "refused"] += 1
    else found[isUnavailable(text) ? "atLoss" : "otherwise"] += 1
  }
  return found
}
