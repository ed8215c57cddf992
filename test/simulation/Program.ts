/** What a simulation does: a shape and timed actions, all drawn from the seed, so that single ones can be left out. */
import { limits } from "../../src/domain/Limits.ts"
import { Random } from "./kernel/Random.ts"

export interface Shape {
  readonly replicas: number
  readonly sandboxes: number
  readonly shards: number
  /** Milliseconds in which actions begin; then all faults end. */
  readonly faultsMs: number
}

export type Deed =
  | {
      readonly do: "open"
      readonly sandbox: number
      readonly token: number
      readonly stream: boolean
      readonly bytes: number
      readonly pauseMs: number
    }
  | { readonly do: "close"; readonly call: number }
  | { readonly do: "crash" | "restart" | "stop" | "thaw"; readonly replica: number }
  | { readonly do: "freeze"; readonly replica: number; readonly tasks: number; readonly forMs: number }
  | {
      readonly do: "cut"
      readonly from: number
      readonly to: number
      readonly oneWay: boolean
      readonly forMs: number
    }
  | { readonly do: "weather"; readonly loss: number; readonly repeat: number; readonly late: number }
  | { readonly do: "database"; readonly how: "stall" | "away" | "failing"; readonly forMs: number }
  | {
      readonly do: "supervisor"
      readonly how: "crash" | "freeze" | "cut"
      readonly sandbox: number
      readonly forMs: number
    }
  | { readonly do: "hibernate"; readonly sandbox: number }
  | { readonly do: "lifecycle"; readonly how: "Stop" | "Start"; readonly sandbox: number }
  | { readonly do: "clock"; readonly replica: number; readonly byMs: number }
  | { readonly do: "revoke"; readonly token: number }

export type Action = Deed & { readonly atMs: number }

export interface Program {
  readonly seed: number
  readonly shape: Shape
  readonly actions: ReadonlyArray<Action>
  /** The supervisor of the first sandbox falls silent for good when all other faults end. */
  readonly ghost: boolean
}

/** Indices that stand for the database and the client in a cut. */
export const databaseIndex = -1
export const clientIndex = -2

export const tokensPerSandbox = 2

const forMs = (random: Random) =>
  Math.round(random.chance(0.3) ? random.between(8_000, 16_000) : random.between(50, 5_000))

const deed = (random: Random, shape: Shape): Deed => {
  const replica = random.below(shape.replicas)
  const sandbox = random.below(shape.sandboxes)
  const token = sandbox * tokensPerSandbox + random.below(tokensPerSandbox)
  const roll = random.next()
  if (roll < 0.4)
    return {
      do: "open",
      sandbox,
      token,
      stream: random.chance(0.6),
      bytes: 64 + random.below(4_000),
      pauseMs: random.pick([1, 5, Math.round(random.between(20, 1_500))]) ?? 5,
    }
  if (roll < 0.46) return { do: "close", call: random.below(32) }
  if (roll < 0.53) return { do: "crash", replica }
  if (roll < 0.59) return { do: "restart", replica }
  if (roll < 0.62) return { do: "stop", replica }
  if (roll < 0.7) return { do: "freeze", replica, tasks: random.below(60), forMs: forMs(random) }
  if (roll < 0.77) {
    const to = random.below(shape.replicas + 2) - 2
    return { do: "cut", from: replica, to, oneWay: random.chance(0.5), forMs: forMs(random) }
  }
  if (roll < 0.81)
    return {
      do: "weather",
      loss: random.between(0, 0.05),
      repeat: random.between(0, 0.2),
      late: random.between(0, 0.5),
    }
  if (roll < 0.85)
    return {
      do: "database",
      how: random.pick(["stall", "away", "failing"]) ?? "stall",
      forMs: Math.round(random.between(100, 7_000)),
    }
  if (roll < 0.9)
    return {
      do: "supervisor",
      how: random.pick(["crash", "freeze", "cut"]) ?? "crash",
      sandbox,
      forMs: forMs(random),
    }
  if (roll < 0.93) return { do: "hibernate", sandbox }
  if (roll < 0.96) return { do: "lifecycle", how: random.chance(0.5) ? "Stop" : "Start", sandbox }
  if (roll < 0.98) return { do: "clock", replica, byMs: Math.round(random.between(-300_000, 300_000)) }
  return { do: "revoke", token }
}

/** The program of a seed. */
export const programOf = (seed: number): Program => {
  const random = new Random(seed)
  const shape: Shape = {
    replicas: 2 + random.below(3),
    sandboxes: 1 + random.below(3),
    shards: 1 + random.below(3),
    faultsMs: Math.round(random.between(4_000, 2 * limits.leaseMs)),
  }
  const count = 6 + random.below(26)
  const actions = Array.from(
    { length: count },
    (): Action => ({
      atMs: Math.round(random.between(0, shape.faultsMs)),
      ...deed(random, shape),
    }),
  ).sort((a, b) => a.atMs - b.atMs)
  return { seed, shape, actions, ghost: random.chance(0.25) }
}
