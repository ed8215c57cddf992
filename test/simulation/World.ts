/** A cluster with its sandboxes, supervisors and client, and everything that may be done to them. */
import { Effect } from "effect"
import type { DriverObservation } from "../../src/driver/Driver.ts"
import * as Phase from "../../src/sandbox/Phase.ts"
import { Cluster } from "./cluster/Cluster.ts"
import type { Replica } from "./cluster/Replica.ts"
import type { Rules } from "./cluster/Rules.ts"
import { type CallOptions, SimClient } from "./ends/SimClient.ts"
import { SimSupervisor } from "./ends/SimSupervisor.ts"
import { Kernel } from "./kernel/Kernel.ts"
import type { Process } from "./kernel/Process.ts"
import type { Trace } from "./kernel/Trace.ts"
import { type Shape, tokensPerSandbox } from "./Program.ts"
import { sweep } from "./Sweep.ts"
import { Violation } from "./Violation.ts"
import { Watcher } from "./Watcher.ts"

export const sandboxName = (index: number): string => `sandbox-${index}`
export const tokenName = (index: number): string => `token-${index}`
export const replicaName = (index: number): string => `r${index}`

export class World {
  readonly kernel: Kernel
  readonly cluster: Cluster
  readonly watcher: Watcher
  readonly client: SimClient
  readonly shape: Shape
  readonly supervisors = new Map<string, SimSupervisor>()
  /** Streams by name, as the supervisor saw them end. */
  readonly served = new Map<string, string>()
  #instances = 0

  constructor(seed: number, shape: Shape, rules: Rules, trace: Trace) {
    this.shape = shape
    this.kernel = new Kernel(seed, trace)
    const watch: { made?: Watcher } = {}
    this.cluster = new Cluster(this.kernel, rules, shape.shards, (cluster) => {
      watch.made = new Watcher(cluster)
      return watch.made
    })
    this.watcher = watch.made ?? new Watcher(this.cluster)
    this.kernel.check = this.watcher.check
    this.cluster.machines = { run: this.#run, stop: this.#stop, observe: this.#observe }
    this.client = new SimClient(this.cluster, "client")
    for (let index = 0; index < shape.sandboxes; index += 1) this.#addSandbox(sandboxName(index), index)
    for (let index = 0; index < shape.replicas; index += 1) this.cluster.start(replicaName(index))
    sweep(this.cluster)
  }

  get replicas(): ReadonlyArray<Replica> {
    return [...this.cluster.replicas.values()]
  }

  open(options: CallOptions) {
    return this.client.open(options)
  }

  /** Asks the actor of a sandbox through any replica, without waiting for it. */
  lifecycle(sandboxId: string, how: "Stop" | "Start"): void {
    const replica = this.kernel.random.pick(this.replicas.filter((one) => one.up))
    if (replica === undefined) return
    replica.process.fork(
      Effect.exit(
        replica.ask(sandboxId, (actor) => (how === "Stop" ? actor.Stop(undefined) : actor.Start(undefined))),
      ),
    )
  }

  revoke(token: string): void {
    const row = this.cluster.database.tokens.rows.get(token)
    const replica = this.kernel.random.pick(this.replicas.filter((one) => one.up))
    if (row === undefined || replica === undefined) return
    this.cluster.database.tokens.rows.set(token, { ...row, revoked: true })
    replica.process.fork(
      Effect.exit(replica.ask(row.sandboxId, (actor) => actor.RevokeToken({ tokenHash: token }))),
    )
  }

  freeze(process: Process, afterTasks: number): void {
    process.freeze(afterTasks)
    this.cluster.network.silent(process)
  }

  /** A new instance takes the place of the old one, as after a crash of its machine. */
  restartSupervisor(sandboxId: string): void {
    this.#stop(sandboxId)
    this.#run(sandboxId)
  }

  killSupervisor(sandboxId: string): void {
    this.#stop(sandboxId)
  }

  #addSandbox(id: string, index: number): void {
    const { database } = this.cluster
    const createdAtMs = database.process.wallMs
    database.sandboxes.rows.set(id, {
      id,
      workspace: "default",
      name: id,
      createdAtMs,
      deletionTimestampMs: 0,
      labels: {},
      annotations: {},
      resourceVersion: 1,
      spec: { logLevel: "", environment: {}, providers: [], command: [], tty: false },
      status: Phase.initial(createdAtMs),
    })
    for (let token = index * tokensPerSandbox; token < (index + 1) * tokensPerSandbox; token += 1)
      this.addToken(tokenName(token), id)
    this.#run(id)
  }

  addToken(tokenHash: string, sandboxId: string): void {
    this.cluster.database.tokens.rows.set(tokenHash, {
      tokenHash,
      sandboxId,
      createdAtMs: 0,
      expiresAtMs: 0,
      revoked: false,
    })
  }

  readonly #run = (sandboxId: string): DriverObservation => {
    if (!this.supervisors.has(sandboxId)) {
      this.#instances += 1
      this.supervisors.set(
        sandboxId,
        new SimSupervisor(this.cluster, {
          sandboxId,
          instanceId: `s${this.#instances}`,
          consumed: (target) => {
            const call = this.client.calls.find((one) => one.name === target)
            if (call !== undefined && call.echoed !== call.bytes && call.outcome === undefined)
              this.cluster.violate(
                new Violation(
                  "bytes",
                  `${target} counts as consumed after ${call.echoed} of ${call.bytes} bytes`,
                ),
              )
          },
          ended: (target, outcome) => this.served.set(target, outcome),
        }),
      )
    }
    return this.#observe(sandboxId)
  }

  readonly #stop = (sandboxId: string): void => {
    const supervisor = this.supervisors.get(sandboxId)
    if (supervisor === undefined) return
    this.supervisors.delete(sandboxId)
    supervisor.process.kill()
    this.cluster.network.silent(supervisor.process)
  }

  readonly #observe = (id: string): DriverObservation => {
    const supervisor = this.supervisors.get(id)
    return {
      id,
      state: supervisor === undefined ? "stopped" : "running",
      instanceId: supervisor?.instanceId ?? "",
      detail: "",
    }
  }
}
