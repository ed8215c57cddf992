/**
 * Turns of the event loop for simulations. Promises and streams work between two immediates; what Node does
 * besides, to look for sockets and timers, is of no use here and takes longer than most turns. So a row of
 * immediates is laid out at once, and each takes the next turn of one queue. What the simulated code asks of
 * `setImmediate` stands in the same queue, in the order in which it was asked for.
 */

/** Immediates in one round of Node's event loop; sockets and timers of the process itself wait for that long. */
const rowLength = 128

const { setImmediate: immediate, clearImmediate: clear } = globalThis

let queue: Array<() => void> = []
let taken = 0
let laidOut = 0

const layOut = (): void => {
  for (; laidOut < rowLength; laidOut += 1) immediate(take)
}

const take = (): void => {
  laidOut -= 1
  const turn = queue[taken]
  if (turn === undefined) return
  taken += 1
  if (taken === queue.length) {
    queue = []
    taken = 0
  }
  if (laidOut === 0) layOut()
  turn()
}

/** Runs after all that promises and streams do until then. */
export const afterTurn = (run: () => void): void => {
  queue.push(run)
  if (laidOut === 0) layOut()
}

const cleared = new WeakSet<NodeJS.Immediate>()

const ours = <A extends Array<unknown>>(run: (...args: A) => void, ...args: A): NodeJS.Immediate => {
  const handle = immediate(() => undefined)
  afterTurn(() => {
    if (!cleared.has(handle)) run(...args)
  })
  return handle
}

globalThis.setImmediate = Object.assign(ours, { __promisify__: immediate.__promisify__ })
globalThis.clearImmediate = (handle) => {
  if (handle !== undefined) cleared.add(handle)
  clear(handle)
}
