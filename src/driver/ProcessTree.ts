/** Ends every process of a sandbox, also those that left their parent. */
import { Clock, Effect } from "effect"
import { Internal } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import * as Proc from "./Proc.ts"

/** Environment variable that marks a process as part of a sandbox; the supervisor locks the sandbox by it. */
export const lockVariable = "HOLDFAST_SANDBOX_LOCK"

/** Every process that carries the sandbox's mark, whoever its parent is. */
export const membersOf = (sandboxId: string): Effect.Effect<ReadonlyArray<Proc.ProcessIdentity>> =>
  Proc.findByEnvironment(`${lockVariable}=${sandboxId}`)

const key = (identity: Proc.ProcessIdentity): string => `${identity.pid}-${identity.startTicks}`

/**
 * TERM to all, KILL after the grace, then KILL again to whatever was forked meanwhile until a scan of the
 * machine finds nobody. Fails with the pids that survive, which only a process stuck in the kernel can.
 */
export const endTree = (
  sandboxId: string,
  supervisor: Proc.ProcessIdentity | undefined,
  graceMs: number = limits.driverStopGraceMs,
): Effect.Effect<void, Internal> =>
  Effect.gen(function* () {
    // Remembered across scans: a child without the mark is known only while its parent lives.
    const known = new Map<string, Proc.ProcessIdentity>()
    const look = membersOf(sandboxId).pipe(
      Effect.map((marked) => {
        for (const identity of [...marked, ...(supervisor === undefined ? [] : Proc.family(supervisor))]) {
          known.set(key(identity), identity)
        }
        for (const [name, identity] of known) if (!Proc.isAlive(identity)) known.delete(name)
        return [...known.values()]
      }),
    )
    let alive = yield* look
    if (alive.length === 0) return
    for (const identity of alive) Proc.signal(identity, "SIGTERM")
    yield* Proc.waitForEnd(alive, graceMs)

    const deadline = (yield* Clock.currentTimeMillis) + limits.driverKillTimeoutMs
    alive = yield* look
    while (alive.length > 0) {
      if ((yield* Clock.currentTimeMillis) > deadline) {
        return yield* new Internal({
          message: `processes of sandbox ${sandboxId} do not end: pid ${alive.map(({ pid }) => pid).join(", ")}`,
        })
      }
      for (const identity of alive) Proc.signal(identity, "SIGKILL")
      yield* Proc.waitForEnd(alive, limits.processPollMs * 10)
      alive = yield* look
    }
  })
