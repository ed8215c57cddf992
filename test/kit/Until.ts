/**
 * Waits for a condition, asked every `everyMs`; a failure of the question counts as "not yet", and the last one is
 * told when the time is over.
 */
export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
  everyMs = 50,
): Promise<void> => {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  while (performance.now() < deadline) {
    try {
      if (await condition()) return
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
  const why = last instanceof Error ? `: ${last.message}` : ""
  throw new Error(`not within ${timeoutMs} ms: ${what}${why}`, { cause: last })
}

/** For what happens within this process: asked often. */
export const eventually = (what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> =>
  until(what, condition, timeoutMs, 5)
