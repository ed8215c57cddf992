/** An ask between processes: runs over there, and its exit comes back. */
import { Effect, type Fiber } from "effect"
import type { Process } from "../kernel/Process.ts"
import type { Network } from "./Network.ts"

/** A peer that does not answer pings for this long has its socket closed (Effect RPC's own pinger). */
const pingMs = 10_000

/**
 * `broken` is what the caller sees when the other process is dead or silent. An ask that comes twice runs twice;
 * one whose caller gave up is interrupted.
 */
export const askOver = <A, E, B>(
  network: Network,
  from: Process,
  to: Process,
  effect: Effect.Effect<A, E>,
  broken: Effect.Effect<never, B>,
): Effect.Effect<A, E | B> =>
  Effect.async<A, E | B>((resume) => {
    const running = new Set<Fiber.RuntimeFiber<A, E>>()
    let over = false
    const giveUp = () =>
      network.send(from, to, () => {
        over = true
        for (const fiber of running) fiber.unsafeInterruptAsFork(fiber.id())
      })
    const cancelPing = from.after(pingMs, () => {
      giveUp()
      resume(broken)
    })
    const answer = (result: Effect.Effect<A, E | B>) => {
      cancelPing()
      resume(result)
    }
    network.send(
      from,
      to,
      () => {
        if (over) return
        const fiber = to.fork(effect)
        running.add(fiber)
        fiber.addObserver((exit) => {
          running.delete(fiber)
          network.send(to, from, () => answer(exit))
        })
      },
      () => answer(broken),
    )
    return Effect.sync(() => {
      cancelPing()
      giveUp()
    })
  })
