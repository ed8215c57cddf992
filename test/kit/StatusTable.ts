/** A table of refusals: what is asked of a real gateway, by whom, and the status and text that must come back. */
import { randomUUID } from "node:crypto"
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf"
import { Status, type StatusCode, statusName } from "../../src/domain/Status.ts"
import { encodeMessage, methodPath, type TypedMethod } from "../../src/wire/grpc/Typed.ts"
import { OpenShell, SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "./Calls.ts"
import { TestCluster } from "./Cluster.ts"
import { SupervisorDouble } from "./SupervisorDouble.ts"
import { until } from "./Until.ts"

type Method = TypedMethod<DescMessage, DescMessage>

export interface Answer {
  readonly code: StatusCode
  readonly text: string
}

/** The gateway of a table, and what rows need to exist on it. Everything is made once and shared by name. */
export class StatusWorld {
  readonly cluster: TestCluster
  readonly #sandboxes = new Map<string, Promise<string>>()
  readonly #workspaces = new Map<string, Promise<void>>()
  readonly #doubles: Array<SupervisorDouble> = []

  private constructor(cluster: TestCluster) {
    this.cluster = cluster
  }

  static async start(): Promise<StatusWorld> {
    return new StatusWorld(
      await TestCluster.start({ replicas: 1, database: "sqlite", withoutSupervisors: true }),
    )
  }

  async stop(): Promise<void> {
    for (const double of this.#doubles) double.vanish()
    await this.cluster.stop()
  }

  get connection() {
    return this.cluster.connection("replica-1")
  }

  /** The id of a sandbox of that name in `default`, in that phase; of one name always with the same phase. */
  sandbox(name: string, phase: "Provisioning" | "Ready" | "Stopped" = "Provisioning"): Promise<string> {
    const known = this.#sandboxes.get(name)
    if (known !== undefined) return known
    const made = this.#make(name, phase)
    this.#sandboxes.set(name, made)
    return made
  }

  async #make(name: string, phase: "Provisioning" | "Ready" | "Stopped"): Promise<string> {
    const id = (await this.cluster.create(name)).metadata?.id ?? ""
    if (phase === "Provisioning") return id
    const double = new SupervisorDouble({
      url: this.cluster.replica("replica-1").url,
      sandboxId: id,
      token: await this.cluster.token(id),
    })
    await double.attach()
    this.#doubles.push(double)
    await this.cluster.ready(name)
    if (phase === "Ready") return id
    await callUnary(await this.connection, OpenShell.method.stopSandbox, { name })
    await until(`${name} is stopped`, async () => (await this.cluster.phase(name)) === SandboxPhase.STOPPED)
    return id
  }

  /** Makes sure that there is a workspace of that name. */
  workspace(name: string): Promise<void> {
    const known = this.#workspaces.get(name)
    if (known !== undefined) return known
    const made = (async () => {
      await callUnary(await this.connection, OpenShell.method.createWorkspace, { name })
    })()
    this.#workspaces.set(name, made)
    return made
  }

  /** Sends the messages, half-closes, reads to the end, and says how the call ended. */
  async answer<M extends Method>(
    method: M,
    messages: ReadonlyArray<MessageInitShape<M["input"]>>,
    token?: string,
  ): Promise<Answer> {
    const metadata = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const call = (await this.connection).open(methodPath(method), { metadata, timeoutMs: 20_000 })
    for (const message of messages)
      await call.write(encodeMessage<M["input"]>(method.input, message)).catch(() => {})
    call.end()
    while ((await call.reader.read()) !== undefined) {}
    const refusal = await call.status
    return refusal === undefined
      ? { code: Status.OK, text: "" }
      : { code: refusal.code, text: refusal.message }
  }
}

export interface StatusRow {
  readonly title: string
  readonly code: StatusCode
  readonly text: string | RegExp
  readonly provoke: (world: StatusWorld) => Promise<Answer>
}

type OneOrMore<T> = T | ReadonlyArray<T>
type Given<T> = T | ((world: StatusWorld) => Promise<T>)

/** Who asks: the development user, or the sandbox of that id or of a given one. */
export interface By {
  readonly sandbox?: Given<string>
  /** Whatever this bearer token says. */
  readonly token?: string
  /** Done before the call. */
  readonly after?: (world: StatusWorld) => Promise<unknown>
}

const settle = async <T>(given: Given<T>, world: StatusWorld): Promise<T> =>
  typeof given === "function" ? await (given as (world: StatusWorld) => Promise<T>)(world) : given

/**
 * One row. `request` is the message, or all messages of a streaming call, or what makes them of the world;
 * `text` is the whole text of the status, or what it must match.
 */
export const refuses = <M extends Method>(
  method: M,
  when: string,
  request: Given<OneOrMore<MessageInitShape<M["input"]>>>,
  code: StatusCode,
  text: string | RegExp,
  by: By = {},
): StatusRow => ({
  title: `${method.name} answers ${statusName(code)} to ${when}`,
  code,
  text,
  provoke: async (world) => {
    await by.after?.(world)
    const settled = await settle(request, world)
    const messages = Array.isArray(settled) ? settled : [settled]
    const token =
      by.sandbox === undefined ? by.token : await world.cluster.token(await settle(by.sandbox, world))
    return world.answer(method, messages, token)
  },
})

/** An id that no sandbox has. */
export const nobody: string = randomUUID()
