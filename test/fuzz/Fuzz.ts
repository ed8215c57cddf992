/** A number of frames against a target, many calls at a time. */
import http2, { type ClientHttp2Session } from "node:http2"
import { connect } from "node:net"
import { Random } from "../simulation/kernel/Random.ts"
import { call, type Outcome } from "./Call.ts"
import { noise } from "./Noise.ts"
import { type Memory, Target } from "./Target.ts"

export interface FuzzOptions {
  readonly frames: number
  readonly seed: number
  readonly say: (text: string) => void
  /** How long calls that nobody waits for any more may take to go away before memory is measured. */
  readonly quietMs?: number
}

export interface FuzzReport {
  readonly seed: number
  readonly frames: number
  readonly calls: number
  readonly noises: number
  readonly seconds: number
  /** How often each method ended with each status. */
  readonly statuses: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly hangs: number
  /** Gateway processes that ended. */
  readonly crashes: number
  readonly errors: ReadonlyArray<string>
  /** After the first fifth of the frames, and at the end; both after a full collection. */
  readonly warm: Memory
  readonly end: Memory
  readonly problems: ReadonlyArray<string>
}

const callsAtOnce = 96
const sessionsAtOnce = 12
/** A session carries so many calls before a new one takes its place. */
const callsPerSession = 500
/** Share of rounds that are raw bytes. */
const noiseShare = 0.05
const warmShare = 0.2
/** What a gateway may hold more at the end than when it was warm. */
export const bounds = { heapMb: 24, rssMb: 128, buffersMb: 8 }

/** Supervisors may still be busy with what they were sent. */
const servesSoon = async (target: Target): Promise<void> => {
  const deadlineMs = performance.now() + 45_000
  for (;;) {
    try {
      return await target.serves()
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
    }
  }
}

interface Slot {
  session: ClientHttp2Session
  calls: number
}

const open = (url: string): Slot => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  // A session that is gone does not listen to its socket any more.
  socket.on("error", () => {})
  const session = http2.connect(url, { createConnection: () => socket })
  session.on("error", () => {})
  return { session, calls: 0 }
}

export const fuzz = async ({
  frames: wanted,
  seed,
  say,
  quietMs = 6_000,
}: FuzzOptions): Promise<FuzzReport> => {
  const startedMs = performance.now()
  const target = await Target.start()
  const statuses: Record<string, Record<string, number>> = {}
  const problems: Array<string> = []
  let frames = 0
  let calls = 0
  let noises = 0
  let hangs = 0
  let crashes = 0
  const count = ({ path, status, frames: sent, hung }: Outcome): void => {
    frames += sent
    calls += 1
    const method = path.split("/")[2] ?? path
    statuses[method] ??= {}
    statuses[method][status] = (statuses[method][status] ?? 0) + 1
    if (!hung) return
    hangs += 1
    problems.push(`a call of ${method} did not end within its deadline`)
  }
  let interrupted = false
  const interrupt = (): void => {
    interrupted = true
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupt)
  const alive = (): boolean => target.cluster.replica("replica-1").pid === target.pid

  try {
    const root = new Random(seed)
    const port = Number(new URL(target.url).port)
    const slots = Array.from({ length: sessionsAtOnce }, () => open(target.url))
    const sessionOf = (index: number): ClientHttp2Session => {
      const slot = slots[index % slots.length] ?? open(target.url)
      if (slot.session.closed || slot.session.destroyed || slot.calls >= callsPerSession) {
        if (!slot.session.closed) slot.session.close()
        Object.assign(slot, open(target.url))
      }
      slot.calls += 1
      return slot.session
    }
    const until = async (goal: number): Promise<void> => {
      await Promise.all(
        Array.from({ length: callsAtOnce }, async (_, worker) => {
          const random = root.fork()
          while (frames < goal && alive() && !interrupted) {
            if (random.chance(noiseShare)) {
              noises += 1
              frames += await noise(port, random)
            } else count(await call(sessionOf(worker), random, target.world))
            if (worker === 0 && random.chance(0.05)) await target.occupy().catch(() => {})
          }
        }),
      )
      if (interrupted) throw new Error("interrupted")
      if (!alive()) {
        crashes += 1
        throw new Error("the gateway process has ended")
      }
    }
    /** Calls that nobody waits for any more have their own deadlines. */
    const quiet = () => new Promise((resolve) => setTimeout(resolve, quietMs))
    let warm: Memory = { rssMb: 0, heapMb: 0, buffersMb: 0 }
    let end = warm
    try {
      await until(wanted * warmShare)
      await quiet()
      await target.serves()
      warm = await target.memory()
      say(`${frames} frames: ${warm.rssMb} MB resident, ${warm.heapMb} MB heap`)
      for (let part = 1; part <= 4; part += 1) {
        await until(wanted * (warmShare + ((1 - warmShare) * part) / 4))
        say(`${frames} frames, ${calls} calls`)
      }
      await quiet()
      end = await target.memory()
      await servesSoon(target)
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error))
    }
    for (const { session } of slots) session.destroy()
    if (end.heapMb > warm.heapMb + bounds.heapMb)
      problems.push(`the heap grew from ${warm.heapMb} to ${end.heapMb} MB`)
    if (end.buffersMb > warm.buffersMb + bounds.buffersMb)
      problems.push(`messages in memory grew from ${warm.buffersMb} to ${end.buffersMb} MB`)
    if (end.rssMb > warm.rssMb + bounds.rssMb)
      problems.push(`the process grew from ${warm.rssMb} to ${end.rssMb} MB`)
    const errors = target.errors()
    if (errors.length > 0) problems.push(`${errors.length} lines of errors in the gateway's log`)
    const seconds = Math.round((performance.now() - startedMs) / 1_000)
    return { seed, frames, calls, noises, seconds, statuses, hangs, crashes, errors, warm, end, problems }
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, interrupt)
    await target.stop()
  }
}
