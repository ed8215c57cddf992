/** One line on a terminal when nothing moves because a replica was lost, and one when it moves again. */

/**
 * For `onStall` of any number of streams at once; silent without a terminal. The cursor may be anywhere, so the
 * line begins by itself; Node's raw mode still turns a line feed into a whole new line.
 */
export const stallNotice = (shown = true): ((stalled: boolean) => void) => {
  let stalled = 0
  const say = (text: string): void => {
    if (shown && process.stderr.isTTY) process.stderr.write(`\r\u001b[Kholdfast: ${text}\n`)
  }
  return (begins) => {
    stalled += begins ? 1 : -1
    if (begins && stalled === 1) say("reconnecting…")
    if (!begins && stalled === 0) say("reconnected")
  }
}
