/**
 * A simulated process: fibers, timers and messages that run while it lives. A frozen one keeps all of it for the
 * thaw, a killed one loses it without a word: nothing of it is interrupted or cleaned up.
 */
import {
  Clock,
  Duration,
  Effect,
  Random as EffectRandom,
  type Fiber,
  FiberRef,
  HashMap,
  HashSet,
  Logger,
  Runtime,
  RuntimeFlags,
  type Scheduler,
} from "effect"
import { globalValue } from "effect/GlobalValue"
import type { StreamClock } from "../../../src/stream/Clock.ts"
import type { Kernel } from "./Kernel.ts"
import type { Random } from "./Random.ts"

/** Real time at which simulations begin: any fixed moment. */
const beginMs = 1_800_000_000_000

/** Tasks of one process before another one's turn. */
const tasksPerTurn = 200

/** Where Effect keeps the fibers that nobody waits for, for those who ask what runs. */
const unended = globalValue(Symbol.for("effect/FiberScope/Global"), () => ({ roots: new Set<unknown>() }))

/** Lets go of the fibers of a simulation that is over: those of dead processes never end by themselves. */
export const forgetFibers = (): void => unended.roots.clear()

export type ProcessState = "running" | "frozen" | "dead"

export class Process implements Scheduler.Scheduler {
  readonly name: string
  readonly kernel: Kernel
  readonly random: Random
  readonly streamClock: StreamClock
  state: ProcessState = "running"
  /** Frozen for good. */
  sealed = false
  /** Set clocks differ from process to process and jump; monotonic ones do not. */
  wallOffsetMs = 0
  #tasks: Array<() => void> = []
  #held: Array<() => void> = []
  /** Freezes after so many more tasks, in the middle of whatever that is. */
  #freezeIn: number | undefined
  readonly #runFork: <A, E>(
    effect: Effect.Effect<A, E>,
    options?: Runtime.RunForkOptions,
  ) => Fiber.RuntimeFiber<A, E>

  constructor(kernel: Kernel, name: string) {
    this.kernel = kernel
    this.name = name
    this.random = kernel.random.fork()
    const inside = Effect.runtime<never>().pipe(
      Effect.withClock(this.#makeClock()),
      Effect.withRandom(EffectRandom.make(this.random.below(0x1_0000_0000))),
      Effect.locally(FiberRef.currentLoggers, HashSet.make(this.#logger)),
      Effect.withScheduler(this),
      Effect.withTracerEnabled(false),
    )
    this.#runFork = Runtime.runFork(
      Runtime.disableRuntimeFlag(Effect.runSync(inside), RuntimeFlags.RuntimeMetrics),
    )
    this.streamClock = {
      nowMs: () => kernel.nowMs,
      after: (delayMs, task) => this.after(delayMs, task),
    }
    kernel.processes.push(this)
  }

  get wallMs(): number {
    return Math.floor(beginMs + this.kernel.nowMs + this.wallOffsetMs)
  }

  get ready(): boolean {
    return this.state === "running" && this.#tasks.length > 0
  }

  say(what: string): void {
    this.kernel.trace.say(this.kernel.nowMs, this.name, what)
  }

  /** Something from outside: runs now, after the thaw, or never. */
  deliver(run: () => void): void {
    if (this.state === "running") run()
    else if (this.state === "frozen") this.#held.push(run)
  }

  /** A timer, as coarse as Node's. */
  after(delayMs: number, run: () => void): () => void {
    let cancelled = false
    const cancel = this.kernel.after(Math.max(1, Math.trunc(delayMs)), () =>
      this.deliver(() => {
        if (!cancelled) run()
      }),
    )
    return () => {
      cancelled = true
      cancel()
    }
  }

  /** Runs on this process's time, randomness and turn. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    return this.#runFork(effect, { immediate: false })
  }

  scheduleTask(task: () => void): void {
    if (this.state !== "dead") this.#tasks.push(task)
  }

  shouldYield(): number | false {
    return false
  }

  runTasks(): void {
    const tasks = this.#tasks
    const most = Math.min(tasks.length, tasksPerTurn, this.#freezeIn ?? tasksPerTurn)
    for (let index = 0; index < most; index += 1) tasks[index]?.()
    this.#tasks = tasks.length > most ? tasks.slice(most) : []
    if (this.#freezeIn === undefined) return
    this.#freezeIn -= most
    if (this.#freezeIn <= 0) this.freeze()
  }

  /** Stops at once, or after that many more steps of its fibers. */
  freeze(afterTasks = 0): void {
    if (this.state !== "running") return
    this.#freezeIn = afterTasks
    if (afterTasks > 0) return
    this.#freezeIn = undefined
    this.state = "frozen"
    this.say("is frozen")
  }

  thaw(): void {
    this.#freezeIn = undefined
    if (this.state !== "frozen" || this.sealed) return
    this.state = "running"
    this.say("is thawed")
    const held = this.#held
    this.#held = []
    for (const run of held) this.scheduleTask(run)
  }

  kill(): void {
    if (this.state === "dead") return
    this.state = "dead"
    this.#tasks = []
    this.#held = []
    this.kernel.processes.splice(this.kernel.processes.indexOf(this), 1)
    this.say("is dead")
  }

  readonly #logger = Logger.make(({ annotations, logLevel, message }) => {
    const about = HashMap.get(annotations, "sandbox")
    const whom = about._tag === "Some" && typeof about.value === "string" ? ` (${about.value})` : ""
    this.say(`${logLevel.label.toLowerCase()}: ${textOf(message)}${whom}`)
  })

  #makeClock(): Clock.Clock {
    const nanos = () => BigInt(Math.floor(this.kernel.nowMs * 1e6)) + 1_000_000_000n
    return {
      ...Clock.make(),
      unsafeCurrentTimeMillis: () => this.wallMs,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(() => this.wallMs),
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const cancel = this.after(Duration.toMillis(duration), () => resume(Effect.void))
          return Effect.sync(cancel)
        }),
    }
  }
}

const textOf = (message: unknown): string => {
  const parts = Array.isArray(message) ? message : [message]
  return parts
    .map((part: unknown) => (part instanceof Error ? part.message : typeof part === "string" ? part : "…"))
    .join(" ")
}
