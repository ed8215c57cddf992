/**
 * A supervisor as OpenShell 0.0.111 is on the wire (sheet 1.4 and 3.1 to 3.4), in the place of our own: the
 * process driver starts it, it knows no extension of ours, and it forgives nothing that the reference would not.
 */
import { randomUUID } from "node:crypto"
import { connect } from "node:net"
import { Status } from "../../../src/domain/Status.ts"
import { GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { Inference, OpenShell, PolicyStatus } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../Calls.ts"
import { SupervisorDouble } from "../SupervisorDouble.ts"
import { type Caller, callAtStart, callOnce, connectTo, sleep } from "./Calls.ts"
import { LogPush } from "./Logs.ts"
import { Main } from "./Main.ts"
import { readSettings, type Settings } from "./Settings.ts"
import { listen } from "./Ssh.ts"

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

class Supervisor {
  readonly settings: Settings
  readonly caller: Caller
  readonly logs = new LogPush()
  #token: string
  #variables: Readonly<Record<string, string>> = {}
  #environmentRevision: bigint | undefined
  #configRevision: bigint | undefined
  #policyVersion = 0

  constructor(settings: Settings) {
    this.settings = settings
    this.#token = settings.token
    this.caller = { endpoint: settings.endpoint, token: () => this.#token }
  }

  /** Of every process of the sandbox. */
  environment(): Record<string, string> {
    const own = Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("OPENSHELL_") ? [] : [[name, value] as const],
    )
    return { ...Object.fromEntries(own), ...this.settings.userEnvironment, ...this.#variables }
  }

  /** Steps 2 to 6 of sheet 1.4, in their order. */
  async startUp(): Promise<void> {
    const { sandboxId, sandbox } = this.settings
    let config = await callAtStart(this.caller, OpenShell.method.getSandboxConfig, { sandboxId })
    if (config.policy === undefined || config.version === 0) {
      try {
        await callAtStart(this.caller, OpenShell.method.updateConfig, {
          name: sandbox,
          workspace: config.workspace,
          policy: fallbackPolicy,
        })
        config = await callAtStart(this.caller, OpenShell.method.getSandboxConfig, { sandboxId })
      } catch (error) {
        // The reference would end here. A gateway that has no policies yet says so in this line.
        if (!(error instanceof GrpcError) || error.code !== Status.UNIMPLEMENTED) throw error
        this.logs.info(`policy not synchronised: ${error.message}`)
      }
    }
    this.#configRevision = config.configRevision
    this.#policyVersion = config.version
    await this.#loadProviders(config.providerEnvRevision)
    await this.#refreshRoutes()
    await callOnce(this.caller, OpenShell.method.getSandboxConfig, { sandboxId }).catch(() => undefined)
  }

  async #loadProviders(revision: bigint): Promise<void> {
    try {
      const { environment } = await callOnce(this.caller, OpenShell.method.getSandboxProviderEnvironment, {
        sandboxId: this.settings.sandboxId,
        supportsStaticCredentialBindings: true,
      })
      this.#variables = environment
      this.#environmentRevision = revision
    } catch (error) {
      this.logs.info(`no provider environment: ${reason(error)}`)
    }
  }

  async #refreshRoutes(): Promise<void> {
    await callOnce(this.caller, Inference.method.getInferenceBundle, {}).catch((error: unknown) =>
      this.logs.info(`stale routes are kept: ${reason(error)}`),
    )
  }

  /** Every 5 s on a connection of its own, for the life of the process. */
  async keepRoutes(): Promise<never> {
    for (;;) {
      await sleep(this.settings.routeRefreshMs)
      await this.#refreshRoutes()
    }
  }

  /** Every 10 s on one connection, which an error replaces. */
  async pollPolicy(): Promise<never> {
    const { sandboxId } = this.settings
    let connection: Awaited<ReturnType<typeof connectTo>> | undefined
    for (;;) {
      await sleep(this.settings.policyPollMs)
      try {
        if (connection?.draining !== false) connection = await connectTo(this.caller)
        const config = await callUnary(
          connection,
          OpenShell.method.getSandboxConfig,
          { sandboxId },
          { timeoutMs: 30_000 },
        )
        if (config.providerEnvRevision !== this.#environmentRevision)
          await this.#loadProviders(config.providerEnvRevision)
        if (config.configRevision === this.#configRevision) continue
        this.#configRevision = config.configRevision
        if (config.version === this.#policyVersion || config.version === 0) continue
        this.#policyVersion = config.version
        await callOnce(this.caller, OpenShell.method.reportPolicyStatus, {
          sandboxId,
          version: config.version,
          status: PolicyStatus.LOADED,
        })
        this.logs.info(`policy revision ${config.version} loaded`)
      } catch (error) {
        this.logs.info(`policy poll failed: ${reason(error)}`)
        connection?.destroy()
        connection = undefined
      }
    }
  }

  /** At 80 % of what is left of the token's life; a token without an end is never refreshed. */
  async keepToken(): Promise<void> {
    for (;;) {
      const payload = JSON.parse(Buffer.from(this.#token.split(".")[1] ?? "", "base64url").toString())
      if (typeof payload.exp !== "number" || payload.exp === 0) return
      await sleep(Math.max(0.8 * (1_000 * payload.exp - Date.now()), 1_000))
      try {
        this.#token = (await callOnce(this.caller, OpenShell.method.refreshSandboxToken, {})).token
      } catch (error) {
        this.logs.info(`token not refreshed: ${reason(error)}`)
        await sleep(10_000)
      }
    }
  }

  /** Sessions for ever: the pause doubles from 1 to 30 s and starts over never. */
  async keepSession(instanceId: string): Promise<never> {
    const { endpoint, sandboxId, sshSocketPath } = this.settings
    for (let pauseMs = 1_000; ; pauseMs = Math.min(2 * pauseMs, 30_000)) {
      const double = new SupervisorDouble({
        url: endpoint,
        sandboxId,
        instanceId,
        token: this.caller.token,
        heartbeatMs: 5_000,
        dialSsh: () =>
          connect({
            path: sshSocketPath.startsWith("@") ? `\0${sshSocketPath.slice(1)}` : sshSocketPath,
            allowHalfOpen: true,
          }),
      })
      try {
        const sessionId = await double.attach()
        this.logs.info(`supervisor session established ${sessionId}`)
        const error = await double.ended
        // Relays that still run on it may finish.
        double.connection?.close()
        this.logs.info(`supervisor session ended: ${error?.message ?? "closed by the gateway"}`)
      } catch (error) {
        this.logs.info(`supervisor session failed: ${reason(error)}`)
      }
      await sleep(pauseMs)
    }
  }

  async reportExit(instanceId: string, exitCode: number): Promise<void> {
    const { sandboxId } = this.settings
    for (let pauseMs = 250; ; pauseMs = Math.min(2 * pauseMs, 2_000)) {
      try {
        await callOnce(this.caller, OpenShell.method.reportMainProcessExit, {
          sandboxId,
          instanceId,
          exitCode,
        })
        return
      } catch {
        await sleep(pauseMs)
      }
    }
  }
}

/** What the reference falls back to when neither gateway nor image has a policy (sheet, appendix C). */
const fallbackPolicy = {
  version: 1,
  filesystem: {
    includeWorkdir: true,
    readOnly: ["/usr", "/lib", "/etc", "/app", "/var/log", "/proc", "/dev/urandom"],
    readWrite: ["/tmp", "/dev/null"],
  },
  landlock: { compatibility: "best_effort" },
}

const run = async (settings: Settings): Promise<number> => {
  const supervisor = new Supervisor(settings)
  const instanceId = randomUUID()
  void supervisor.logs.run(supervisor.caller, settings.sandboxId)
  await supervisor.startUp()
  const main = new Main(settings.main, settings.workdir, supervisor.environment())
  const end = (signal: NodeJS.Signals, code: number): void => {
    process.once(signal, () => {
      main.signal("SIGTERM")
      process.exit(code)
    })
  }
  end("SIGTERM", 143)
  end("SIGINT", 130)
  await listen(settings.sshSocketPath, {
    main,
    workdir: settings.workdir,
    environment: () => supervisor.environment(),
  })
  supervisor.logs.info("main process started")
  void supervisor.keepSession(instanceId)
  void supervisor.keepRoutes()
  void supervisor.pollPolicy()
  void supervisor.keepToken()
  const exitCode = await main.exited
  await supervisor.reportExit(instanceId, exitCode)
  return exitCode
}

export const program = async (): Promise<never> => {
  try {
    process.exit(await run(readSettings(process.env, process.argv.slice(2))))
  } catch (error) {
    process.stderr.write(`${reason(error)}\n`)
    process.exit(1)
  }
}
