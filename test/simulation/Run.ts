/** Runs one program: faults, then peace, then everything must work again. */
import { limits } from "../../src/domain/Limits.ts"
import { act } from "./Act.ts"
import { type Rules, soundRules } from "./cluster/Rules.ts"
import type { Call } from "./ends/SimClient.ts"
import { forgetFibers } from "./kernel/Process.ts"
import { Trace } from "./kernel/Trace.ts"
import type { Program } from "./Program.ts"
import { Violation } from "./Violation.ts"
import { replicaName, sandboxName, World } from "./World.ts"

export interface Result {
  readonly violation: Violation | undefined
  readonly hash: string
  readonly virtualMs: number
  readonly events: number
}

/** Lease, a reconnect at its longest, and the way of an attach. */
const settleMs = 25_000
const reachMs = 5_000

export const run = async (
  program: Program,
  rules: Rules = soundRules,
  keep?: (line: string) => void,
): Promise<Result> => {
  const trace = new Trace(keep)
  const world = new World(program.seed, program.shape, rules, trace)
  let violation: Violation | undefined
  try {
    await play(world, program)
  } catch (error) {
    violation =
      error instanceof Violation
        ? error
        : new Violation("crash", error instanceof Error ? (error.stack ?? error.message) : String(error))
    trace.say(world.kernel.nowMs, "VIOLATION", violation.message)
  } finally {
    forgetFibers()
  }
  const { nowMs: virtualMs, events } = world.kernel
  return { violation, hash: trace.digest(), virtualMs, events }
}

const play = async (world: World, { actions, shape, ghost }: Program): Promise<void> => {
  await world.kernel.advance(3_000)
  const beganMs = world.kernel.nowMs
  for (const [number, action] of actions.entries()) {
    await world.kernel.advance(beganMs + action.atMs - world.kernel.nowMs)
    act(world, action, number)
  }
  await world.kernel.advance(beganMs + shape.faultsMs - world.kernel.nowMs)
  heal(world)
  if (ghost) silence(world)
  await world.kernel.advance(settleMs)
  await reachable(world, ghost ? 1 : 0)
  await slotsReturn(world, ghost ? sandboxName(0) : undefined)
  ended(world)
  if (ghost) demoted(world)
}

const heal = (world: World): void => {
  world.kernel.trace.say(world.kernel.nowMs, "program", "all faults end")
  const { cluster } = world
  cluster.network.heal()
  cluster.database.away = false
  cluster.database.failing = 0
  for (const process of [...world.kernel.processes]) process.thaw()
  for (let index = 0; index < 2; index += 1)
    if (!cluster.replicas.has(replicaName(index))) cluster.start(replicaName(index))
}

const silence = (world: World): void => {
  const supervisor = world.supervisors.get(sandboxName(0))
  if (supervisor === undefined) return
  world.freeze(supervisor.process, 0)
  supervisor.process.sealed = true
}

/** A sandbox whose supervisor is silent is not Ready once its grace period is over. */
const demoted = (world: World): void => {
  // A start that came later brought another supervisor.
  const silent = world.supervisors.get(sandboxName(0))?.process.sealed === true
  if (silent && isReady(world, sandboxName(0)))
    throw new Violation("grace", `${sandboxName(0)} is still Ready long after its supervisor fell silent`)
}

const isReady = (world: World, sandboxId: string): boolean =>
  world.cluster.database.sandboxes.rows.get(sandboxId)?.status.phase === "Ready"

/** Every supervisor that should be there is reachable through every replica. */
const reachable = async (world: World, first: number): Promise<void> => {
  const probes: Array<Call> = []
  for (let index = first; index < world.shape.sandboxes; index += 1) {
    const sandboxId = sandboxName(index)
    const phase = world.cluster.database.sandboxes.rows.get(sandboxId)?.status.phase
    if (phase === "Stopped") continue
    if (phase !== "Ready") throw new Violation("reach", `${sandboxId} is ${phase} although all is well`)
    for (const replica of world.replicas)
      probes.push(
        world.open({
          name: `probe of ${sandboxId} via ${replica.name}`,
          sandboxId,
          token: "",
          kind: "plain",
          bytes: 64,
          pauseMs: 1,
          via: replica,
        }),
      )
  }
  await world.kernel.advance(reachMs)
  for (const probe of probes)
    if (probe.outcome !== "Finished")
      throw new Violation("reach", `${probe.name}: ${probe.outcome ?? "still under way"}`)
}

/** After all calls have ended, every token has all its connections again. */
const slotsReturn = async (world: World, silent: string | undefined): Promise<void> => {
  for (const call of world.client.calls) call.close()
  await world.kernel.advance(3_000)
  const calls: Array<Call> = []
  for (const token of world.cluster.database.tokens.rows.values()) {
    if (token.revoked || token.sandboxId === silent || !isReady(world, token.sandboxId)) continue
    for (let count = 0; count < limits.connectionsPerToken; count += 1)
      calls.push(
        world.open({
          name: `slot ${count} of ${token.tokenHash}`,
          sandboxId: token.sandboxId,
          token: token.tokenHash,
          kind: "plain",
          bytes: 512,
          pauseMs: 20_000,
        }),
      )
  }
  await world.kernel.advance(reachMs)
  for (const call of calls)
    if (!call.opened || call.outcome !== undefined)
      throw new Violation("slots", `${call.name}: ${call.outcome ?? "not opened"}`)
}

/** Streams that finished here have finished over there as well, or were lost only after all was delivered. */
const ended = (world: World): void => {
  for (const call of world.client.calls) {
    if (call.kind !== "stream" || call.outcome === undefined) continue
    const there = world.served.get(call.name)
    if (call.outcome === "Finished" && there !== undefined && there !== "Finished" && there !== "Lost")
      throw new Violation("outcome", `${call.name} finished here and was ${there} over there`)
  }
}
