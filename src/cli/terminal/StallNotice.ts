/** One line on a terminal when nothing moves because a replica was lost, and one when it moves again. */
import type { StallListener } from "../../client/Stalls.ts"

/**
 * For `onStall` of any number of streams at once; silent without a terminal. The cursor may be anywhere, so the
 * line begins by itself; Node's raw mode still turns a line feed into a whole new line.
 */
export const stallNotice = (shown = true): StallListener => {
  let stalled = 0
  const say = (text: string): void => {
    if (shown && process.stderr.isTTY) process.stderr.write(`\r\u001b[Kholdfast: ${text}\n`)
  }
  return (change) => {
    stalled += change === "stalled" ? 1 : -1
    if (change === "stalled" && stalled === 1) say("reconnecting…")
    if (change === "resumed" && stalled === 0) say("reconnected")
  }
}
