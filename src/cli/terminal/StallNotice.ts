/** One line on a terminal when nothing moves because a replica was lost, and one when it moves again. */

/**
 * For `onStall` of any number of streams at once; silent without a terminal. The terminal may be in raw mode
 * and the cursor anywhere, so the line begins and ends by itself.
 */
export const stallNotice = (shown = true): ((stalled: boolean) => void) => {
  let stalled = 0
  const say = (text: string): void => {
    if (shown && process.stderr.isTTY) process.stderr.write(`\r\u001b[Kholdfast: ${text}\r\n`)
  }
  return (begins) => {
    stalled += begins ? 1 : -1
    if (begins && stalled === 1) say("reconnecting…")
    if (!begins && stalled === 0) say("reconnected")
  }
}
