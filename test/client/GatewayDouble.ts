/**
 * A gateway for tests of clients: the real gRPC server, sandboxes in memory, commands run by the real bash in
 * a directory per sandbox, forwards dialled on loopback. It is as strict with requests as OpenShell 0.0.111.
 */
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import {
  createGrpcServer,
  type MethodHandler,
  type ServerCall,
  type ServerConnection,
} from "../../src/wire/grpc/GrpcServer.ts"
import { methodPath } from "../../src/wire/grpc/Typed.ts"
import { Admin } from "../../src/wire/holdfast-v1/Generated.ts"
import { OpenShell, type SandboxLogLineSchema, SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { unaryHandler } from "../kit/Calls.ts"
import { execHandlers } from "./ExecDouble.ts"
import type { FarEnd } from "./FarEnd.ts"
import { forwardHandler, type StreamEvent, type Watcher, watchHandler, wireOf } from "./StreamDouble.ts"

export interface DoubleSandbox {
  readonly id: string
  readonly name: string
  readonly workspace: string
  /** Where its commands run. */
  readonly home: string
  readonly labels: Record<string, string>
  readonly createdAtMs: number
  phase: SandboxPhase
  resourceVersion: bigint
  reason: string
  command: ReadonlyArray<string>
  readonly logs: Array<MessageInitShape<typeof SandboxLogLineSchema>>
}

export class GatewayDouble {
  readonly sandboxes = new Map<string, DoubleSandbox>()
  readonly tokens = new Map<string, string>()
  readonly revoked: Array<string> = []
  /** Calls by method name, in order. */
  readonly calls: Array<string> = []
  /** Phase in which new sandboxes begin. */
  initialPhase: SandboxPhase = SandboxPhase.READY
  /** Replaces the answer of a method while it is set. */
  readonly failures = new Map<string, ReturnType<typeof grpcError>>()
  /** The supervisor's end of resumable streams; several doubles that share one are replicas of a cluster. */
  farEnd: FarEnd | undefined
  /** Local ports that stand for the sandbox's SSH server. */
  sshPort = 0
  url = ""
  /** Connections that made a call. */
  readonly connections = new Map<string, ServerConnection>()
  readonly #watchers = new Set<Watcher>()
  readonly #root = mkdtempSync(join(tmpdir(), "holdfast-double-"))
  readonly #server = createGrpcServer({
    router: (path) => this.#handlers.get(path),
    onError: (error) => {
      this.errors.push(error)
    },
  })
  readonly errors: Array<unknown> = []
  readonly #handlers = this.#methods()

  static async start(port = 0): Promise<GatewayDouble> {
    const double = new GatewayDouble()
    const address = await double.#server.listen(port, "127.0.0.1")
    double.url = `http://127.0.0.1:${address.port}`
    return double
  }

  async stop(): Promise<void> {
    await this.#server.close(0)
    rmSync(this.#root, { recursive: true, force: true })
  }

  add(
    name: string,
    options: Partial<Pick<DoubleSandbox, "workspace" | "labels" | "command">> = {},
  ): DoubleSandbox {
    const sandbox: DoubleSandbox = {
      id: randomUUID(),
      name,
      workspace: options.workspace ?? "default",
      home: mkdtempSync(join(this.#root, `${name}-`)),
      labels: options.labels ?? {},
      createdAtMs: Date.now(),
      phase: this.initialPhase,
      resourceVersion: 1n,
      reason: "",
      command: options.command ?? [],
      logs: [],
    }
    this.sandboxes.set(name, sandbox)
    return sandbox
  }

  /** Cuts every connection, as the death of the process does; new ones are taken. */
  cut(): void {
    for (const { session } of this.connections.values()) session.destroy()
    this.connections.clear()
  }

  setPhase(sandbox: DoubleSandbox, phase: SandboxPhase, reason = ""): void {
    sandbox.phase = phase
    sandbox.reason = reason
    sandbox.resourceVersion += 1n
    this.emit(sandbox, { payload: { case: "sandbox", value: wireOf(sandbox) } })
  }

  emit(sandbox: DoubleSandbox, event: StreamEvent): void {
    for (const watcher of this.#watchers) if (watcher.id === sandbox.id) watcher.send(event)
  }

  remove(sandbox: DoubleSandbox): void {
    this.sandboxes.delete(sandbox.name)
    for (const watcher of this.#watchers) if (watcher.id === sandbox.id) watcher.end()
  }

  get watchers(): number {
    return this.#watchers.size
  }

  #named(name: string): DoubleSandbox {
    const sandbox = this.sandboxes.get(name)
    if (sandbox === undefined) throw grpcError(Status.NOT_FOUND, "sandbox not found")
    return sandbox
  }

  #byId(id: string): DoubleSandbox {
    for (const sandbox of this.sandboxes.values()) if (sandbox.id === id) return sandbox
    throw grpcError(Status.NOT_FOUND, "sandbox not found")
  }

  #ready(id: string): DoubleSandbox {
    const sandbox = this.#byId(id)
    if (sandbox.phase !== SandboxPhase.READY)
      throw grpcError(Status.FAILED_PRECONDITION, "sandbox is not ready")
    return sandbox
  }

  #methods(): Map<string, MethodHandler> {
    const service = OpenShell.method
    const handlers = new Map<string, MethodHandler>([
      [
        methodPath(service.health),
        unaryHandler(service.health, async () => ({ status: 1, version: "0.0.0-double" })),
      ],
      [
        methodPath(service.createSandbox),
        unaryHandler(service.createSandbox, async ({ name, labels, spec }) => {
          if (this.sandboxes.has(name))
            throw grpcError(Status.ALREADY_EXISTS, `sandbox '${name}' already exists`)
          const sandbox = this.add(name === "" ? "made-up" : name, { labels, command: spec?.command ?? [] })
          return { sandbox: wireOf(sandbox) }
        }),
      ],
      [
        methodPath(service.getSandbox),
        unaryHandler(service.getSandbox, async ({ name }) => ({ sandbox: wireOf(this.#named(name)) })),
      ],
      [
        methodPath(service.listSandboxes),
        unaryHandler(service.listSandboxes, async ({ limit, offset, labelSelector }) => {
          const wanted = labelSelector === "" ? [] : labelSelector.split(",").map((pair) => pair.split("="))
          const matching = [...this.sandboxes.values()].filter((sandbox) =>
            wanted.every(([key, value]) => sandbox.labels[key ?? ""] === value),
          )
          return { sandboxes: matching.slice(offset, offset + (limit === 0 ? 100 : limit)).map(wireOf) }
        }),
      ],
      [
        methodPath(service.deleteSandbox),
        unaryHandler(service.deleteSandbox, async ({ name }) => {
          const sandbox = this.#named(name)
          this.setPhase(sandbox, SandboxPhase.DELETING)
          setTimeout(() => this.remove(sandbox), 20)
          return { deleted: true }
        }),
      ],
      [
        methodPath(service.stopSandbox),
        unaryHandler(service.stopSandbox, async ({ name }) => {
          const sandbox = this.#named(name)
          this.setPhase(sandbox, SandboxPhase.STOPPING)
          setTimeout(() => this.setPhase(sandbox, SandboxPhase.STOPPED), 20)
          return { sandbox: wireOf(sandbox) }
        }),
      ],
      [
        methodPath(service.createSshSession),
        unaryHandler(service.createSshSession, async ({ sandboxId }) => {
          const token = randomUUID()
          this.tokens.set(token, this.#ready(sandboxId).id)
          return { sandboxId, token, gatewayHost: "127.0.0.1", gatewayPort: 1, gatewayScheme: "http" }
        }),
      ],
      [
        methodPath(service.revokeSshSession),
        unaryHandler(service.revokeSshSession, async ({ token }) => {
          this.revoked.push(token)
          return { revoked: this.tokens.delete(token) }
        }),
      ],
      [
        methodPath(service.getSandboxLogs),
        unaryHandler(service.getSandboxLogs, async ({ sandboxId, lines, sinceMs, sources }) => {
          const { logs } = this.#byId(sandboxId)
          const matching = logs.filter(
            (line) =>
              Number(line.timestampMs) >= Number(sinceMs) &&
              (sources.length === 0 || sources.includes(line.source ?? "")),
          )
          return { logs: matching.slice(-(lines === 0 ? 2_000 : lines)), bufferTotal: matching.length }
        }),
      ],
      [methodPath(service.watchSandbox), watchHandler((id) => this.#byId(id), this.#watchers)],
      [
        methodPath(service.forwardTcp),
        forwardHandler({
          farEnd: () => this.farEnd,
          dial: (id, token, port) => {
            const sandbox = this.#ready(id)
            if (this.tokens.get(token) !== sandbox.id) {
              throw grpcError(Status.UNAUTHENTICATED, "SSH session token not found")
            }
            return port ?? this.sshPort
          },
        }),
      ],
      [
        methodPath(Admin.method.getClusterStatus),
        unaryHandler(Admin.method.getClusterStatus, async () => ({
          clusterId: "double",
          answeredBy: "a",
          replicas: [
            {
              name: "a",
              address: "127.0.0.1:2",
              url: this.url,
              live: true,
              self: true,
              shards: 300,
              sessions: 2,
            },
            { name: "b", address: "127.0.0.1:3", url: this.url, live: false },
          ],
        })),
      ],
      ...execHandlers((id) => this.#ready(id)),
    ])
    return new Map([...handlers].map(([path, handler]) => [path, this.#recorded(path, handler)]))
  }

  #recorded(path: string, handler: MethodHandler): MethodHandler {
    const name = path.slice(path.lastIndexOf("/") + 1)
    const enter = ({ connection }: ServerCall): void => {
      this.connections.set(connection.id, connection)
      this.calls.push(name)
      const failure = this.failures.get(name)
      if (failure !== undefined) throw failure
    }
    return handler.kind === "unary"
      ? {
          kind: "unary",
          handle: async (call, message) => {
            enter(call)
            return handler.handle(call, message)
          },
        }
      : {
          kind: "streaming",
          handle: async (call, incoming) => {
            enter(call)
            return handler.handle(call, incoming)
          },
        }
  }
}
