/**
 * Whether the database of this process answers at all. A statement that is slow beside others that are answered is
 * waited for; where nothing is answered, the next caller need not wait as long as the first to learn it. A process
 * has one database. Times are of performance.now().
 */

/** When the latest question was asked that was answered. */
let heardMs = Number.NEGATIVE_INFINITY
let silent = false

/** The database answered a question that was asked then: a statement, or the lock session's proof. */
export const heard = (askedAtMs: number): void => {
  heardMs = Math.max(heardMs, askedAtMs)
  silent = false
}

/** Nothing has been answered since somebody gave up on it. */
export const isSilent = (): boolean => silent

/** Somebody gives up a question of that time: true when the database has answered none that is younger. */
export const givenUp = (askedAtMs: number): boolean => {
  if (heardMs >= askedAtMs) return false
  silent = true
  return true
}
