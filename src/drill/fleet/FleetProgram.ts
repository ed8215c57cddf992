/**
 * The fleet's process: the session loop of the real supervisor, once for each sandbox, without processes of its
 * own. Its only argument is a FleetSpec; reports go to standard output, one JSON object a line.
 */
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { Clock, Effect, Logger, LogLevel, Random } from "effect"
import * as SandboxTokens from "../../auth/SandboxTokens.ts"
import { limits } from "../../domain/Limits.ts"
import { Turns } from "../../domain/Turns.ts"
import { GatewayLink } from "../../supervisor/gateway/GatewayLink.ts"
import { TokenStore } from "../../supervisor/gateway/Token.ts"
import type { Log } from "../../supervisor/Log.ts"
import { Launcher } from "../../supervisor/process/Launcher.ts"
import { untilSignal } from "../../supervisor/StopSignal.ts"
import { EpochFence } from "../../supervisor/session/EpochFence.ts"
import { GatewayAdvice } from "../../supervisor/session/GatewayAdvice.ts"
import { Relays } from "../../supervisor/session/Relays.ts"
import { sessionLoop } from "../../supervisor/session/SessionLoop.ts"
import * as SshServer from "../../supervisor/ssh/SshServer.ts"
import { Streams } from "../../supervisor/stream/Streams.ts"
import type { ClientTlsOptions, GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import type { GrpcError } from "../../wire/grpc/GrpcError.ts"
import { decodeSpec, type FleetReport, type FleetSpec, fleetId } from "./FleetSpec.ts"

/**
 * Thousands of supervisors share this one process. Those that dial take turns, or their connections would time out
 * for want of its processor, which tells nothing of the gateway.
 */
class TakingTurns extends GatewayLink {
  readonly #turns: Turns

  constructor(
    endpoints: ReadonlyArray<string>,
    tls: ClientTlsOptions | undefined,
    token: TokenStore,
    extensions: boolean,
    turns: Turns,
  ) {
    super(endpoints, tls, token, extensions)
    this.#turns = turns
  }

  override dialAt(url: string): Effect.Effect<GrpcConnection, GrpcError> {
    return this.#turns.take(super.dialAt(url))
  }
}

const fleet = (spec: FleetSpec) =>
  Effect.gen(function* () {
    const tls = spec.ca === undefined ? undefined : { ca: readFileSync(spec.ca, "utf8") }
    const tokens = yield* SandboxTokens.SandboxTokens
    const startedAtMs = yield* Clock.currentTimeMillis
    // One of each for all: a fleet is there to be held, not to be used.
    const launcher = yield* Launcher.make({
      workdir: tmpdir(),
      environment: process.env,
      sandboxVariables: {},
    })
    const ssh = yield* SshServer.make({ launcher, main: () => undefined, onError: () => undefined })
    const streams = new Streams({ ssh, launcher })
    const silent: Log = () => undefined
    const dials = new Turns(limits.fleetDials)
    let attached = 0
    let attaches = 0
    let failures = 0
    let lastFailure = ""

    const report = Effect.sync(() => {
      const now: FleetReport = {
        attached,
        attaches,
        failures,
        lastFailure,
        residentBytes: process.memoryUsage.rss(),
      }
      process.stdout.write(`${JSON.stringify(now)}\n`)
    })

    const member = (index: number) =>
      Effect.gen(function* () {
        yield* Effect.sleep((yield* Random.next) * spec.rampMs)
        const sandboxId = fleetId(spec.prefix, index)
        const { token } = yield* tokens.mint(sandboxId)
        const link = new TakingTurns(
          spec.endpoints,
          tls,
          yield* TokenStore.make({ kind: "value", token }),
          spec.extensions,
          dials,
        )
        const fence = new EpochFence()
        let up = false
        const log: Log = (_, message, fields) => {
          if (message !== "no session with the gateway") return
          failures += 1
          lastFailure = String(fields?.reason ?? "")
          if (up) attached -= 1
          up = false
        }
        yield* sessionLoop(link, {
          identity: { sandboxId, instanceId: sandboxId, startedAtMs, extensions: spec.extensions },
          advice: new GatewayAdvice(),
          fence,
          log,
          relays: new Relays({ ssh, streams, fence, log: silent }),
          onAccepted: () => {
            attaches += 1
            if (!up) attached += 1
            up = true
          },
          onConfigChanged: () => undefined,
        })
      }).pipe(Effect.scoped)

    yield* Effect.forkScoped(Effect.forever(Effect.zipLeft(report, Effect.sleep(limits.fleetReportMs))))
    yield* Effect.forEach(
      Array.from({ length: spec.count }, (_, index) => index),
      member,
      { concurrency: "unbounded", discard: true },
    )
    return 0
  })

const main = Effect.flatMap(decodeSpec(process.argv[2] ?? ""), (spec) =>
  Effect.provide(
    fleet(spec),
    SandboxTokens.layer({ directory: spec.jwtDirectory, gatewayId: spec.gatewayId, ttlMs: 0 }),
  ),
)

const exitCode = await Effect.runPromise(
  main.pipe(
    Effect.raceFirst(untilSignal),
    Effect.catchAll((error) =>
      Effect.sync(() => {
        process.stderr.write(`fleet: ${error.message}\n`)
        return 1
      }),
    ),
    Logger.withMinimumLogLevel(LogLevel.None),
    Effect.scoped,
  ),
)
process.exit(exitCode)
