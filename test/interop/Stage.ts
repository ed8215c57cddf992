/** Where the cases play: three replicas, sandboxes under both supervisors, and clients that avoid the session's replica. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { execPath } from "node:process"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { Admin } from "../../src/wire/holdfast-v1/Generated.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import type { Tools } from "./tools/Tools.ts"

export interface StageOptions {
  /** Undefined for what needs no download. */
  readonly tools: Tools | undefined
  /** Everybody comes by the front door, as behind a load balancer, because replicas come and go. */
  readonly roll: boolean
}

export interface Place {
  readonly id: string
  readonly name: string
}

export class Stage {
  readonly options: StageOptions
  readonly cluster: TestCluster
  readonly scratch: string
  #next = 0

  private constructor(options: StageOptions, cluster: TestCluster, scratch: string) {
    this.options = options
    this.cluster = cluster
    this.scratch = scratch
  }

  static async start(options: StageOptions): Promise<Stage> {
    const supervisor = path.join(import.meta.dirname, "supervisor.ts")
    const cluster = await TestCluster.start({
      replicas: 3,
      environment: (_name, usual) => ({
        HOLDFAST_SUPERVISOR_COMMAND: [execPath, "--disable-warning=ExperimentalWarning", supervisor].join(
          ",",
        ),
        HOLDFAST_SANDBOX_ENDPOINT: usual.HOLDFAST_PUBLIC_URL ?? "",
        // Commands that dial the address they are told stay at the replica that they were sent to.
        ...(options.roll ? {} : { HOLDFAST_PUBLIC_URL: `http://${usual.HOLDFAST_LISTEN}` }),
      }),
    })
    const scratch = mkdtempSync(path.join(tmpdir(), "holdfast-interop-"))
    return new Stage(options, cluster, scratch)
  }

  async stop(): Promise<void> {
    await this.cluster.stop()
    rmSync(this.scratch, { recursive: true, force: true })
  }

  get frontDoor(): string {
    return this.cluster.local.frontDoor
  }

  /** A new directory for a case. */
  directory(): string {
    this.#next += 1
    const made = path.join(this.scratch, String(this.#next))
    mkdirSync(made, { recursive: true })
    return made
  }

  /** A name that no other sandbox has. */
  name(prefix: string): string {
    this.#next += 1
    return `${prefix}-${this.#next}`
  }

  async ask<A>(work: (connection: GrpcConnection) => Promise<A>, url = this.frontDoor): Promise<A> {
    const connection = await GrpcConnection.connect({ url })
    try {
      return await work(connection)
    } finally {
      connection.destroy()
    }
  }

  async find(name: string, workspace = "default"): Promise<Place> {
    const { sandbox } = await this.ask((connection) =>
      callUnary(connection, OpenShell.method.getSandbox, { name, workspace }, { timeoutMs: 20_000 }),
    )
    return { name, id: sandbox?.metadata?.id ?? "" }
  }

  async holder(sandboxId: string): Promise<string> {
    const located = await this.ask((connection) =>
      callUnary(connection, Admin.method.locateSandbox, { sandboxId }, { timeoutMs: 20_000 }),
    )
    return located.sessionHolder
  }

  /** URL of a replica that does not hold this sandbox's session, a different one each time; in a roll the front door. */
  async endpoint(sandboxId?: string): Promise<string> {
    if (this.options.roll) return this.frontDoor
    const holder = sandboxId === undefined ? "" : await this.holder(sandboxId)
    const others = this.cluster.local.replicas().filter(({ name }) => name !== holder)
    this.#next += 1
    return others[this.#next % others.length]?.url ?? this.frontDoor
  }
}
