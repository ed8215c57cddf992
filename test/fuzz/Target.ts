/** What is fuzzed: one real gateway process, with sandboxes that work and one whose supervisor is the fuzzer. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { sh } from "../kit/Exec.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { Inspector } from "../kit/Inspector.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"
import type { World } from "./Messages.ts"

/** Three forwards each at a time, and twenty per sandbox. */
const tokensPerSandbox = 6
const livingSandboxes = 3

export interface Memory {
  readonly rssMb: number
  readonly heapMb: number
  /** Bytes received or to be sent that somebody still holds; they do not count as heap. */
  readonly buffersMb: number
}

export class Target {
  readonly cluster: TestCluster
  readonly world: World
  readonly pid: number
  readonly #echo: EchoServer
  readonly #double: SupervisorDouble

  private constructor(cluster: TestCluster, world: World, target: EchoServer, double: SupervisorDouble) {
    this.cluster = cluster
    this.world = world
    this.#echo = target
    this.#double = double
    this.pid = cluster.replica("replica-1").pid
  }

  static async start(): Promise<Target> {
    const program = path.join(import.meta.dirname, "..", "interop", "supervisor.ts")
    const cluster = await TestCluster.start({
      replicas: 1,
      database: "sqlite",
      environment: () => ({
        HOLDFAST_LOG_LEVEL: "warn",
        HOLDFAST_SUPERVISOR_COMMAND: [
          process.execPath,
          "--disable-warning=ExperimentalWarning",
          program,
        ].join(","),
      }),
    })
    try {
      return await Target.#prepare(cluster)
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  static async #prepare(cluster: TestCluster): Promise<Target> {
    const connection = await cluster.connection("replica-1")
    const living = await Promise.all(
      Array.from({ length: livingSandboxes }, async (_, index) => {
        const name = `ref-fuzz-${index}`
        const id = (await cluster.create(name, { command: ["sleep", "100000"] })).metadata?.id ?? ""
        await cluster.ready(name)
        const sshTokens = await Promise.all(
          Array.from({ length: tokensPerSandbox }, () => sshToken(connection, id)),
        )
        return { id, sshTokens }
      }),
    )
    // Its own supervisor ends, and the fuzzer's sessions take the place.
    const hollowId = (await cluster.create("hollow", { command: ["sleep", "100000"] })).metadata?.id ?? ""
    await cluster.ready("hollow")
    const token = await cluster.token(hollowId)
    const channels: Array<string> = []
    const double = new SupervisorDouble({
      url: cluster.replica("replica-1").url,
      sandboxId: hollowId,
      token,
      onRelayOpen: ({ channelId }) => {
        channels.push(channelId)
        if (channels.length > 64) channels.shift()
        return "ignore"
      },
    })
    const target = await echoServer()
    return new Target(
      cluster,
      { hollow: { id: hollowId, token }, living, echoPort: target.port, channels },
      target,
      double,
    )
  }

  get url(): string {
    return this.cluster.replica("replica-1").url
  }

  /** A session of the hollow sandbox whose relays nobody but the fuzzer claims. */
  async occupy(): Promise<void> {
    this.#double.vanish()
    await this.#double.attach()
  }

  async memory(): Promise<Memory> {
    const inspector = await Inspector.open(this.pid)
    try {
      await inspector.collectGarbage()
      await inspector.collectGarbage()
      const used = await inspector.evaluate("process.memoryUsage().heapUsed")
      const buffers = await inspector.evaluate("process.memoryUsage().arrayBuffers")
      const status = readFileSync(`/proc/${this.pid}/status`, "utf8")
      const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
      return {
        rssMb: Math.round(rssKb / 1_024),
        heapMb: Math.round(Number(used) / 1_048_576),
        buffersMb: Math.round(Number(buffers) / 1_048_576),
      }
    } finally {
      await inspector.close()
    }
  }

  /** The same process still does what it is for. */
  async serves(): Promise<void> {
    if (this.cluster.replica("replica-1").pid !== this.pid) throw new Error("the gateway process has ended")
    const connection = await this.cluster.connection("replica-1")
    await callUnary(connection, OpenShell.method.health, {}, { timeoutMs: 10_000 })
    for (const { id } of this.world.living) {
      const said = await sh(connection, id, "echo alive", 20_000)
      if (said.stdout.toString() !== "alive\n") throw new Error("exec does not work any more")
      const stream = await openForward(connection, {
        sandboxId: id,
        token: await sshToken(connection, id),
        port: this.world.echoPort,
      })
      const payload = Buffer.alloc(100_000, 7)
      if (!(await echo(stream, payload)).equals(payload)) throw new Error("forwards do not work any more")
      stream.destroy()
    }
  }

  /** Lines of the gateway's log above a warning. */
  errors(): ReadonlyArray<string> {
    const log = readFileSync(path.join(this.cluster.stateDir, "logs", "replica-1.log"), "utf8")
    return log.split("\n").filter((line) => /"level":"(?:error|fatal)"|^\s*at |Error:/.test(line))
  }

  async stop(): Promise<void> {
    this.#double.vanish()
    this.#echo.close()
    await this.cluster.stop()
  }
}
