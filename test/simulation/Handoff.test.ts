/**
 * Random programs of what happens to the replicas, supervisors and callers of one sandbox, against a model that
 * knows which replicas may own it, which supervisor's session is current and how many slots a token has left.
 */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { bugs } from "./Bugs.ts"
import { type Rules, soundRules } from "./cluster/Rules.ts"
import type { Call } from "./ends/SimClient.ts"
import { Trace } from "./kernel/Trace.ts"
import { replicaName, sandboxName, tokenName, World } from "./World.ts"

const sandbox = sandboxName(0)
const token = tokenName(0)
/** Replicas of a program. */
const replicas = 3
/** Lease, a reconnect at its longest and an attach: by then a cluster in order serves. */
const settleMs = 22_000

interface Model {
  /** Replicas by name, and whether they run. */
  readonly up: Map<string, "running" | "frozen">
  /** The supervisor lives. */
  attached: boolean
  /** Connections of the token that were opened in order and not closed. */
  readonly open: Array<Call>
  /** Nothing was broken since the last rest. */
  calm: boolean
}

type Step = fc.AsyncCommand<Model, World>

const running = (model: Readonly<Model>): ReadonlyArray<string> =>
  [...model.up].filter(([, state]) => state === "running").map(([name]) => name)

const step = (
  says: string,
  check: (model: Readonly<Model>) => boolean,
  run: (model: Model, world: World) => Promise<void>,
): Step => ({ check, run, toString: () => says })

/** Which replicas act for the sandbox's shard now. */
const owners = (world: World): ReadonlyArray<string> =>
  world.replicas
    .filter(
      ({ process, locks }) => process.state === "running" && locks.proves(world.cluster.shardOf(sandbox)),
    )
    .map(({ name }) => name)

const lose = (model: Model, name: string, how: "gone" | "frozen") => {
  if (how === "gone") model.up.delete(name)
  else model.up.set(name, "frozen")
  model.calm = false
}

const start = (index: number): Step =>
  step(
    `start ${replicaName(index)}`,
    (model) => !model.up.has(replicaName(index)),
    async (model, world) => {
      world.cluster.start(replicaName(index))
      model.up.set(replicaName(index), "running")
      model.calm = false
      await world.kernel.advance(50)
    },
  )

const end = (index: number, how: "crash" | "stop"): Step =>
  step(
    `${how} ${replicaName(index)}`,
    (model) => model.up.get(replicaName(index)) === "running",
    async (model, world) => {
      world.cluster[how](replicaName(index))
      lose(model, replicaName(index), "gone")
      await world.kernel.advance(50)
    },
  )

const freeze = (index: number, tasks: number): Step =>
  step(
    `freeze ${replicaName(index)} after ${tasks} steps`,
    (model) => model.up.get(replicaName(index)) === "running",
    async (model, world) => {
      const replica = world.cluster.replicas.get(replicaName(index))
      if (replica !== undefined) world.freeze(replica.process, tasks)
      lose(model, replicaName(index), "frozen")
      await world.kernel.advance(50)
    },
  )

const thaw = (index: number): Step =>
  step(
    `thaw ${replicaName(index)}`,
    (model) => model.up.get(replicaName(index)) === "frozen",
    async (model, world) => {
      world.cluster.replicas.get(replicaName(index))?.process.thaw()
      model.up.set(replicaName(index), "running")
      await world.kernel.advance(50)
    },
  )

const attach = step(
  "attach a new supervisor",
  () => true,
  async (model, world) => {
    world.restartSupervisor(sandbox)
    model.attached = true
    model.calm = false
    model.open.length = 0
    await world.kernel.advance(50)
  },
)

const wait = (ms: number): Step =>
  step(
    `wait ${ms} ms`,
    () => true,
    async (_, world) => world.kernel.advance(ms),
  )

/** In a cluster at rest an open succeeds exactly while the token has a slot left. */
const openOne = async (model: Model, world: World): Promise<void> => {
  const call = world.open({
    name: `connection ${world.client.calls.length}`,
    sandboxId: sandbox,
    token,
    kind: "plain",
    bytes: 2_000,
    pauseMs: 600_000,
  })
  await world.kernel.advance(1_500)
  const held = model.open.filter((one) => one.outcome === undefined).length
  if (held < limits.connectionsPerToken) {
    expect(call.outcome).toBe(undefined)
    expect(call.opened).toBe(true)
    model.open.push(call)
  } else expect(call.outcome).toContain("connection limit reached")
  expect(world.watcher.held(token)).toBe(model.open.filter((one) => one.outcome === undefined).length)
}

const open = (count: number): Step =>
  step(
    `open ${count} connections`,
    (model) => model.calm && model.attached,
    async (model, world) => {
      for (let opened = 0; opened < count; opened += 1) await openOne(model, world)
    },
  )

const close = (pick: number): Step =>
  step(
    "close a connection",
    (model) => model.open.length > 0,
    async (model, world) => {
      const [call] = model.open.splice(pick % model.open.length, 1)
      call?.close()
      await world.kernel.advance(500)
    },
  )

/** Everything thaws and settles; then there is one owner, and the newest supervisor's session is current. */
const settle = step(
  "settle",
  () => true,
  async (model, world) => {
    for (const [name, state] of model.up)
      if (state === "frozen") {
        world.cluster.replicas.get(name)?.process.thaw()
        model.up.set(name, "running")
      }
    if (running(model).length === 0) {
      world.cluster.start(replicaName(0))
      model.up.set(replicaName(0), "running")
    }
    await world.kernel.advance(settleMs)
    expect(owners(world)).toHaveLength(1)
    expect(running(model)).toContain(owners(world)[0])
    const presence = world.cluster.database.presences.rows.get(sandbox)
    expect(presence?.lostAtMs).toBe(undefined)
    expect(presence?.instanceId).toBe(world.supervisors.get(sandbox)?.instanceId)
    model.open.splice(0, model.open.length, ...model.open.filter((one) => one.outcome === undefined))
    model.calm = true
  },
)

const index = fc.nat({ max: replicas - 1 })
const steps = fc.commands(
  [
    index.map(start),
    index.map((one) => end(one, "crash")),
    index.map((one) => end(one, "stop")),
    fc.tuple(index, fc.nat({ max: 40 })).map(([one, tasks]) => freeze(one, tasks)),
    index.map(thaw),
    fc.constant(attach),
    fc.integer({ min: 1, max: 9_000 }).map(wait),
    fc.integer({ min: 1, max: 4 }).map(open),
    fc.integer({ min: 1, max: 4 }).map(open),
    fc.nat({ max: 20 }).map(close),
    fc.constant(settle),
    fc.constant(settle),
  ],
  { maxCommands: 16, size: "max" },
)

const property = (rules: () => Rules) =>
  fc.asyncProperty(fc.nat(), steps, async (seed, program) => {
    const shape = { replicas, sandboxes: 1, shards: 1, faultsMs: 0 }
    const world = new World(seed, shape, rules(), new Trace())
    await world.kernel.advance(3_000)
    const model: Model = {
      up: new Map(world.replicas.map(({ name }) => [name, "running" as const])),
      attached: true,
      open: [],
      calm: true,
    }
    await fc.asyncModelRun(() => ({ model, real: world }), program)
    await settle.run(model, world)
  })

describe("handing a sandbox from replica to replica", () => {
  it("keeps one owner, the newest session and exact slots in every program", {
    timeout: 240_000,
  }, async () => {
    await fc.assert(
      property(() => soundRules),
      { numRuns: 60, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
    )
  })

  it.each(["slot-forgotten", "second-attach-ignored"] as const)(
    "would notice the mistake %s",
    { timeout: 120_000 },
    async (name) => {
      const { failed } = await fc.check(property(bugs[name].rules), { numRuns: 100, endOnFailure: true })
      expect(failed).toBe(true)
    },
  )
})
