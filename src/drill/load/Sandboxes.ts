/** The sandboxes of a drill, whose main process is the server that the load talks to. */
import { Effect, Schedule, Schema, type Scope } from "effect"
import { exec } from "../../client/Exec.ts"
import type { GatewayClientService } from "../../client/GatewayClient.ts"
import { waitForPhase } from "../../client/Watch.ts"
import { limits } from "../../domain/Limits.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import { DrillError, failed } from "../DrillError.ts"
import { portsCommand, serveCommand } from "../sandbox/SandboxProgram.ts"
import { Collector } from "./Collector.ts"
import type { Place } from "./LoadStream.ts"

const Ports = Schema.parseJson(Schema.Struct({ tcp: Schema.Number, web: Schema.Number }))

/** Each starts two processes. */
const createAtOnce = 4

export interface SandboxOptions {
  readonly count: number
  /** Distinguishes the sandboxes of one drill; at most ten characters. */
  readonly prefix: string
  /** Starts a sandbox's processes, where the cluster does not. */
  readonly run: (sandbox: Sandbox) => Effect.Effect<void, DrillError>
  /** They are left to whoever ends the cluster. */
  readonly keep: boolean
}

const create = (
  client: GatewayClientService,
  name: string,
  run: SandboxOptions["run"],
): Effect.Effect<Place, DrillError> =>
  Effect.gen(function* () {
    const spec = { command: [...serveCommand] }
    const created = yield* client.createSandbox({ name, spec, labels: { "holdfast.dev/drill": "true" } })
    yield* run(created)
    const sandbox = yield* waitForPhase(client, created, { phase: "Ready" })
    const ports = Effect.gen(function* () {
      const stdout = new Collector()
      const stderr = new Collector()
      const request = { sandboxId: sandbox.id, command: portsCommand }
      const code = yield* exec(client, request, { stdout, stderr })
      if (code !== 0) return yield* new DrillError({ message: `it has no server: ${stderr.text.trim()}` })
      return yield* Schema.decode(Ports)(stdout.text)
    }).pipe(Effect.retry(Schedule.spaced(100).pipe(Schedule.upTo(limits.drillWorkingMs))))
    const { tcp, web } = yield* ports
    return { sandbox, tcpPort: tcp, webPort: web }
  }).pipe(Effect.mapError(failed(`cannot prepare the sandbox ${name}`)))

/** They are deleted with the scope. */
export const prepareSandboxes = (
  client: GatewayClientService,
  options: SandboxOptions,
): Effect.Effect<ReadonlyArray<Place>, DrillError, Scope.Scope> =>
  Effect.forEach(
    Array.from({ length: options.count }, (_, index) => `${options.prefix}-${index + 1}`),
    (name) => {
      const remove = options.keep ? Effect.void : Effect.ignore(client.deleteSandbox(name))
      return Effect.zipRight(
        Effect.addFinalizer(() => remove),
        create(client, name, options.run),
      )
    },
    { concurrency: createAtOnce },
  )
