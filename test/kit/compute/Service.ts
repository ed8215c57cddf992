/**
 * A compute driver that is not Holdfast's: the contract of wire contract 2.12 over processes of this machine, each a
 * real supervisor with the environment of appendix C.
 */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Cause, Effect, Exit, Redacted } from "effect"
import type { PublicError } from "../../../src/domain/Errors.ts"
import { Status } from "../../../src/domain/Status.ts"
import { Driver, type DriverObservation, type DriverSandbox } from "../../../src/driver/Driver.ts"
import * as ProcessDriver from "../../../src/driver/ProcessDriver.ts"
import {
  ComputeDriver,
  type DriverSandboxSchema,
  type WatchSandboxesEventSchema,
  type DriverSandbox as WireSandbox,
} from "../../../src/wire/compute-v1/Generated.ts"
import { GrpcError, grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler } from "../../../src/wire/grpc/GrpcServer.ts"
import { methodPath } from "../../../src/wire/grpc/Typed.ts"
import { streamingHandler, unaryHandler } from "../Calls.ts"
import { type Record, Records } from "./Records.ts"

type SandboxInit = MessageInitShape<typeof DriverSandboxSchema>
type EventInit = MessageInitShape<typeof WatchSandboxesEventSchema>

/** An image that this driver refuses, with a text of its own. */
export const refusedImage = "refused:latest"
export const refusal = `image '${refusedImage}' is not on this machine`

const watchPollMs = 100

const forProcesses = (record: Record): DriverSandbox => ({
  id: record.id,
  name: record.name,
  workspace: record.workspace,
  token: Redacted.make(record.token),
  spec: {
    logLevel: record.logLevel,
    environment: record.environment,
    providers: [],
    command: record.command,
    tty: record.tty,
  },
})

const conditionsOf = (record: Record, seen: DriverObservation) => {
  if (seen.state === "running")
    return [{ type: "Ready", status: "True", reason: "ContainerRunning", message: seen.detail }]
  if (record.suspended)
    return [
      { type: "Suspended", status: "True", reason: "Stopped", message: "stopped by the gateway" },
      { type: "Ready", status: "False", reason: "Stopped", message: "stopped by the gateway" },
    ]
  return [{ type: "Ready", status: "False", reason: "ContainerExited", message: seen.detail }]
}

const sandboxInit = (record: Record, seen: DriverObservation): SandboxInit => ({
  id: record.id,
  name: record.name,
  workspace: record.workspace,
  status: { sandboxName: record.name, instanceId: seen.instanceId, conditions: conditionsOf(record, seen) },
})

export interface ServiceOptions {
  readonly stateDir: string
  /** Where supervisors dial; a driver has it from its own settings, not from the contract. */
  readonly endpoint: string
}

export const makeRouter = (options: ServiceOptions): ((path: string) => MethodHandler | undefined) => {
  const records = new Records(options.stateDir)
  const processes = ProcessDriver.layer({ ...options, logLevel: "info", stopGraceMs: 1_000 })
  const listeners = new Set<(event: EventInit) => void>()

  const run = async <A>(
    use: (driver: typeof Driver.Service) => Effect.Effect<A, PublicError>,
  ): Promise<A> => {
    const exit = await Effect.runPromiseExit(Effect.flatMap(Driver, use).pipe(Effect.provide(processes)))
    if (Exit.isSuccess(exit)) return exit.value
    throw grpcError(Status.INTERNAL, Cause.pretty(exit.cause))
  }

  const known = (id: string): Record => {
    const record = records.find(id)
    if (record === undefined) throw grpcError(Status.NOT_FOUND, `no sandbox ${id}`)
    return record
  }

  const look = async (record: Record): Promise<SandboxInit> =>
    sandboxInit(record, await run((driver) => driver.observe(record.id)))

  const list = async (): Promise<ReadonlyArray<SandboxInit>> => Promise.all(records.all().map(look))

  const recordOf = (sandbox: WireSandbox | undefined): Record => {
    const spec = sandbox?.spec
    if (sandbox === undefined || spec === undefined || sandbox.id === "")
      throw grpcError(Status.INVALID_ARGUMENT, "sandbox, id and spec are required")
    const image = spec.template?.image ?? ""
    if (image === refusedImage) throw grpcError(Status.FAILED_PRECONDITION, refusal)
    return {
      id: sandbox.id,
      name: sandbox.name,
      workspace: sandbox.workspace,
      image,
      logLevel: spec.logLevel,
      environment: { ...spec.template?.environment, ...spec.environment },
      command: spec.command,
      tty: spec.tty,
      token: spec.sandboxToken,
      suspended: false,
    }
  }

  const tell = (sandboxId: string, reason: string, message: string): void => {
    const event = { source: "test-driver", type: "Normal", reason, message, timestampMs: BigInt(Date.now()) }
    for (const listener of listeners)
      listener({ payload: { case: "platformEvent", value: { sandboxId, event } } })
  }

  const { method } = ComputeDriver
  const handlers: ReadonlyArray<readonly [string, MethodHandler]> = [
    [
      methodPath(method.getCapabilities),
      unaryHandler(method.getCapabilities, async () => ({
        driverName: "test-processes",
        driverVersion: "1.2.3",
        defaultImage: "this-machine:latest",
        gatewayManagesLifecycle: true,
      })),
    ],
    [
      methodPath(method.validateSandboxCreate),
      unaryHandler(method.validateSandboxCreate, async ({ sandbox }) => {
        recordOf(sandbox)
        return {}
      }),
    ],
    [
      methodPath(method.createSandbox),
      unaryHandler(method.createSandbox, async ({ sandbox }) => {
        const record = recordOf(sandbox)
        if (records.find(record.id) !== undefined)
          throw grpcError(Status.ALREADY_EXISTS, `sandbox ${record.id} exists`)
        records.put(record)
        await run((driver) => driver.create(forProcesses(record)))
        tell(record.id, "ContainerCreated", `from ${record.image}`)
        return {}
      }),
    ],
    [
      methodPath(method.startSandbox),
      unaryHandler(method.startSandbox, async ({ sandboxId }) => {
        const record = { ...known(sandboxId), suspended: false }
        records.put(record)
        await run((driver) => driver.start(forProcesses(record)))
        return {}
      }),
    ],
    [
      methodPath(method.stopSandbox),
      unaryHandler(method.stopSandbox, async ({ sandboxId }) => {
        records.put({ ...known(sandboxId), suspended: true })
        await run((driver) => driver.stop(sandboxId))
        return {}
      }),
    ],
    [
      methodPath(method.deleteSandbox),
      unaryHandler(method.deleteSandbox, async ({ sandboxId }) => {
        if (records.find(sandboxId) === undefined) return { deleted: false }
        await run((driver) => driver.delete(sandboxId))
        records.remove(sandboxId)
        return { deleted: true }
      }),
    ],
    [
      methodPath(method.getSandbox),
      unaryHandler(method.getSandbox, async ({ sandboxId }) => ({ sandbox: await look(known(sandboxId)) })),
    ],
    [
      methodPath(method.listSandboxes),
      unaryHandler(method.listSandboxes, async () => ({ sandboxes: [...(await list())] })),
    ],
    [
      methodPath(method.watchSandboxes),
      streamingHandler(method.watchSandboxes, async ({ call, receive, send }) => {
        await receive()
        call.sendHeaders()
        const waiting: Array<EventInit> = []
        const listener = (event: EventInit): void => void waiting.push(event)
        listeners.add(listener)
        const told = new Map<string, string>()
        try {
          while (!call.signal.aborted) {
            for (const event of waiting.splice(0)) await send(event)
            const present = await list()
            for (const sandbox of present) {
              const text = JSON.stringify(sandbox)
              if (told.get(sandbox.id ?? "") === text) continue
              told.set(sandbox.id ?? "", text)
              await send({ payload: { case: "sandbox", value: { sandbox } } })
            }
            for (const id of [...told.keys()]) {
              if (present.some((sandbox) => sandbox.id === id)) continue
              told.delete(id)
              await send({ payload: { case: "deleted", value: { sandboxId: id } } })
            }
            await new Promise((resolve) => setTimeout(resolve, watchPollMs))
          }
        } catch (cause) {
          if (!(cause instanceof GrpcError && cause.code === Status.CANCELLED)) throw cause
        } finally {
          listeners.delete(listener)
        }
      }),
    ],
  ]
  const byPath = new Map(handlers)
  return (path) => byPath.get(path)
}
