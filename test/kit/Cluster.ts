/** A real cluster for tests: embedded Postgres and gateway processes, in a directory of its own. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Effect, Exit, Redacted, Scope } from "effect"
import * as SandboxTokens from "../../src/auth/SandboxTokens.ts"
import * as LocalCluster from "../../src/local/LocalCluster.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { Admin } from "../../src/wire/holdfast-v1/Generated.ts"
import {
  OpenShell,
  type Sandbox,
  SandboxPhase,
  type SandboxSpecSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "./Calls.ts"
import { until } from "./Until.ts"

export interface TestClusterOptions {
  readonly replicas?: number
  /** Default `postgres`. */
  readonly database?: "postgres" | "sqlite"
  /** Sandboxes get no supervisor of their own: the test plays it. */
  readonly withoutSupervisors?: boolean
  readonly environment?: (
    name: string,
    usual: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>
}

/** What the process driver runs in place of a supervisor where a test plays that part. */
const idleCommand = "/bin/sh,-c,exec sleep 100000"

export class TestCluster {
  readonly local: LocalCluster.LocalCluster
  readonly stateDir: string
  readonly #scope: Scope.CloseableScope
  readonly #connections = new Map<string, GrpcConnection>()

  private constructor(local: LocalCluster.LocalCluster, stateDir: string, scope: Scope.CloseableScope) {
    this.local = local
    this.stateDir = stateDir
    this.#scope = scope
  }

  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const stateDir = mkdtempSync(join(tmpdir(), "holdfast-test-"))
    // Postgres runs as another account than root and must be able to enter.
    chmodSync(stateDir, 0o711)
    const scope = await Effect.runPromise(Scope.make())
    const local = await Effect.runPromise(
      LocalCluster.start({
        stateDir,
        replicas: options.replicas ?? 3,
        port: 0,
        database: options.database ?? "postgres",
        durability: "none",
        environment: (name, usual) => ({
          ...(options.withoutSupervisors ? { HOLDFAST_SUPERVISOR_COMMAND: idleCommand } : {}),
          ...options.environment?.(name, usual),
        }),
      }).pipe(
        Scope.extend(scope),
        // What had started before it failed must not live on.
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      ),
    )
    return new TestCluster(local, stateDir, scope)
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections.values()) connection.destroy()
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
    rmSync(this.stateDir, { recursive: true, force: true })
  }

  /** Runs with the life of the cluster as its scope. */
  scoped<A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> {
    return Effect.runPromise(Scope.extend(effect, this.#scope))
  }

  get names(): ReadonlyArray<string> {
    return this.local.replicas().map((replica) => replica.name)
  }

  replica(name: string): LocalCluster.LocalReplica {
    const found = this.local.replicas().find((replica) => replica.name === name)
    if (found === undefined) throw new Error(`no replica ${name}`)
    return found
  }

  readonly kill = (name: string) => Effect.runPromise(this.local.kill(name))
  readonly restart = (name: string) => Effect.runPromise(this.local.restart(name))
  readonly freeze = (name: string) => Effect.runPromise(this.local.freeze(name))
  readonly thaw = (name: string) => Effect.runPromise(this.local.thaw(name))

  /** A connection to that replica, made anew when the last one is gone. */
  async connection(name: string): Promise<GrpcConnection> {
    const { url } = this.replica(name)
    const known = this.#connections.get(name)
    if (known !== undefined && !known.draining) return known
    const fresh = await GrpcConnection.connect({ url })
    this.#connections.set(name, fresh)
    void fresh.closed.then(() => {
      if (this.#connections.get(name) === fresh) this.#connections.delete(name)
    })
    return fresh
  }

  async create(
    name: string,
    spec: MessageInitShape<typeof SandboxSpecSchema> = {},
    via = this.names[0] ?? "",
  ): Promise<Sandbox> {
    const { sandbox } = await callUnary(await this.connection(via), OpenShell.method.createSandbox, {
      name,
      spec,
    })
    if (sandbox === undefined) throw new Error("no sandbox in the answer")
    return sandbox
  }

  async phase(name: string, via = this.names[0] ?? ""): Promise<SandboxPhase> {
    const { sandbox } = await callUnary(await this.connection(via), OpenShell.method.getSandbox, { name })
    return sandbox?.status?.phase ?? SandboxPhase.UNSPECIFIED
  }

  async ready(name: string, timeoutMs = 30_000): Promise<void> {
    await until(`${name} is ready`, async () => (await this.phase(name)) === SandboxPhase.READY, timeoutMs)
  }

  async locate(sandboxId: string, via = this.names[0] ?? "") {
    return callUnary(await this.connection(via), Admin.method.locateSandbox, { sandboxId })
  }

  async status(via = this.names[0] ?? "") {
    return callUnary(await this.connection(via), Admin.method.getClusterStatus, {})
  }

  /** A call to the first replica by the development user, or by the sandbox of that id. */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    asSandbox?: string,
  ): Promise<MessageShape<O>> {
    const metadata = asSandbox === undefined ? {} : { authorization: `Bearer ${await this.token(asSandbox)}` }
    return callUnary(await this.connection(this.names[0] ?? ""), method, request, { metadata })
  }

  /** A sandbox token as the gateway itself mints them. */
  token(sandboxId: string): Promise<string> {
    const layer = SandboxTokens.layer({
      directory: join(this.stateDir, "jwt"),
      gatewayId: "openshell",
      ttlMs: 0,
    })
    return Effect.runPromise(
      Effect.flatMap(SandboxTokens.SandboxTokens, (tokens) => tokens.mint(sandboxId)).pipe(
        Effect.map(({ token }) => Redacted.value(token)),
        Effect.provide(layer),
      ),
    )
  }
}
