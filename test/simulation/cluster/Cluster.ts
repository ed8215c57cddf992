/** The replicas of a simulation with what they share: network, database, locks, the driver, and who watches them. */
import { type Context, Effect, Hash } from "effect"
import type { Ownership } from "../../../src/cluster/Ownership.ts"
import type { Fence } from "../../../src/domain/Fence.ts"
import { limits } from "../../../src/domain/Limits.ts"
import { Driver, type DriverObservation } from "../../../src/driver/Driver.ts"
import type { LocalEdge } from "../../../src/edge/LocalEdge.ts"
import type { Arrivals } from "../../../src/sandbox/Arrivals.ts"
import type { EdgeOpen } from "../../../src/sandbox/Edges.ts"
import type { ActorClient } from "../../../src/sandbox/SandboxActors.ts"
import type { Kernel } from "../kernel/Kernel.ts"
import { Network } from "../network/Network.ts"
import type { SimStream } from "../network/SimStream.ts"
import { SimDatabase } from "../store/SimDatabase.ts"
import type { Violation } from "../Violation.ts"
import { LockTable } from "./LockTable.ts"
import { Replica } from "./Replica.ts"
import type { Rules } from "./Rules.ts"

/** What is told of acts that need a proof of ownership. */
export interface Watch {
  /** A replica uses the driver on a sandbox. */
  readonly drives: (replica: Replica, sandboxId: string, what: string) => void
  /** An edge is told something under that fence; the answer is called if it obeyed. */
  readonly commands: (replica: Replica, fence: Fence, what: string) => () => void
  /** An edge was asked for a relay. */
  readonly asked: (request: EdgeOpen) => void
  /** A relay runs on that replica until its stream closes. */
  readonly carries: (replica: Replica, channelId: string, stream: SimStream) => void
  /** A ticket brought a leg. */
  readonly delivered: (replica: Replica, channelId: string) => void
  /** A replica takes itself for the owner of a shard. */
  readonly proves: (replica: Replica, shard: number) => void
  readonly actor: (actor: ActorClient) => ActorClient
  readonly arrivals: (arrivals: Context.Tag.Service<Arrivals>) => Context.Tag.Service<Arrivals>
  readonly took: (shard: number, epoch: number, owner: string) => void
  /** A member's lock session has ended. */
  readonly left: (incarnation: string) => void
}

export interface Machines {
  readonly run: (sandboxId: string) => DriverObservation
  readonly stop: (sandboxId: string) => void
  readonly observe: (sandboxId: string) => DriverObservation
}

export class Cluster {
  readonly kernel: Kernel
  readonly network: Network
  readonly database: SimDatabase
  readonly table: LockTable
  readonly rules: Rules
  readonly shards: ReadonlyArray<number>
  readonly leaseMs = limits.leaseMs
  readonly fenceMs = limits.fenceMs
  readonly replicas = new Map<string, Replica>()
  /** All that ever ran, by incarnation. */
  readonly incarnations = new Map<string, Replica>()
  readonly watch: Watch
  machines: Machines | undefined
  /** The first promise that was broken. */
  violation: Violation | undefined
  #generation = 0

  constructor(kernel: Kernel, rules: Rules, shards: number, watch: (cluster: Cluster) => Watch) {
    this.kernel = kernel
    this.network = new Network(kernel)
    this.database = new SimDatabase(kernel, this.network)
    this.table = new LockTable(this.database, this.leaseMs, this.fenceMs)
    this.rules = rules
    this.shards = Array.from({ length: shards }, (_, index) => index + 1)
    this.watch = watch(this)
    this.table.onTaken = this.watch.took
    this.table.onEnded = this.watch.left
    rules.locks(this.table)
    if (!rules.storeFences) this.database.fenceHolds = () => true
  }

  /** As the cluster computes it. */
  readonly shardOf = (sandboxId: string): number => Math.abs(Hash.string(sandboxId) % this.shards.length) + 1

  violate(violation: Violation): void {
    if (!this.rules.overlooks.includes(violation.kind)) this.violation ??= violation
  }

  start(name: string): Replica {
    this.#generation += 1
    const replica = new Replica(this, name, this.#generation)
    this.replicas.set(name, replica)
    this.incarnations.set(replica.incarnation, replica)
    return replica
  }

  /** SIGKILL: its connections end at once, its locks with its lock session. */
  crash(name: string): void {
    const replica = this.replicas.get(name)
    if (replica === undefined) return
    this.replicas.delete(name)
    replica.process.kill()
    this.network.silent(replica.process)
    if (this.network.passes(replica.process, this.database.process))
      this.kernel.after(1, () => replica.locks.dropped())
  }

  /** Leaves in order: hands its shards over, lets its sessions go, exits. */
  stop(name: string): void {
    const replica = this.replicas.get(name)
    if (replica === undefined || !replica.up) return
    replica.process.say("leaves")
    replica.leaving = true
    this.replicas.delete(name)
    replica.locks.stop(() => {
      replica.process.kill()
      this.network.silent(replica.process)
    })
  }

  reach(incarnation: string): Replica | undefined {
    return this.incarnations.get(incarnation)
  }

  /** What a replica's actors take for their proof, told to the watch. */
  provenBy(replica: Replica, ownership: Context.Tag.Service<Ownership>): Context.Tag.Service<Ownership> {
    return {
      ...ownership,
      fence: (shard) =>
        Effect.tap(ownership.fence(shard), () => Effect.sync(() => this.watch.proves(replica, shard))),
    }
  }

  /** An edge as its owners see it, with the commands that it obeys told to the watch. */
  watched(replica: Replica, edge: LocalEdge["Type"]): LocalEdge["Type"] {
    const real = this.rules.edge(edge, replica)
    const watched = <A, E>(fence: Fence, what: string, effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => {
        const obeyed = this.watch.commands(replica, fence, what)
        return Effect.tap(effect, () => Effect.sync(obeyed))
      })
    return {
      ...real,
      open: (request) => {
        this.watch.asked(request)
        return watched(request.fence, `opens ${request.channelId}`, real.open(request))
      },
      endSession: (request) => watched(request.fence, `ends ${request.sessionId}`, real.endSession(request)),
      slots: (request) => watched(request.fence, `counts ${request.sandboxId}`, real.slots(request)),
      cut: (request) => watched(request.fence, `cuts ${request.sandboxId}`, real.cut(request)),
    }
  }

  driver(replica: Replica): Context.Tag.Service<Driver> {
    const act = <A>(id: string, what: string, run: (machines: Machines) => A) =>
      Effect.suspend(() => {
        this.watch.drives(replica, id, what)
        replica.process.say(`driver: ${what} ${id}`)
        return Effect.delay(
          Effect.sync(() => run(machines())),
          1,
        )
      })
    const machines = () => {
      if (this.machines === undefined) throw new Error("there are no machines")
      return this.machines
    }
    return Driver.of({
      name: "simulated",
      version: "simulation",
      validate: () => Effect.void,
      create: (sandbox) => act(sandbox.id, "create", (machines) => machines.run(sandbox.id)),
      start: (sandbox) => act(sandbox.id, "start", (machines) => machines.run(sandbox.id)),
      stop: (id) => act(id, "stop", (machines) => machines.stop(id)),
      delete: (id) => act(id, "delete", (machines) => machines.stop(id)).pipe(Effect.as(true)),
      observe: (id) => Effect.sync(() => machines().observe(id)),
      list: Effect.succeed([]),
    })
  }
}
