/**
 * Sandboxes that a program of somebody else's runs: one that serves the compute-driver contract of OpenShell on a
 * Unix socket (wire contract 2.12). All replicas of a cluster talk to drivers that see the same sandboxes.
 *
 * The gateway starts without its driver and serves the sandboxes that run; what needs the driver is refused as
 * unavailable until it is back. A gateway that stops stops no sandbox, whatever the driver's capabilities say:
 * the other replicas serve them.
 */
import { Clock, Effect, Layer, Schedule, Stream } from "effect"
import type { ComputeEvent, ComputeReference } from "../domain/Compute.ts"
import {
  DeadlineExceeded,
  FailedPrecondition,
  type InvalidArgument,
  type PublicError,
  Unavailable,
} from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import * as Methods from "../wire/compute-v1/Methods.ts"
import { Driver, type DriverChange, type DriverObservation, type DriverSandbox } from "./Driver.ts"
import * as DriverLink from "./external/DriverLink.ts"
import { absent, observationOf } from "./external/Observation.ts"
import { requestOf } from "./external/Specification.ts"

export type ExternalDriverConfig = DriverLink.DriverLinkConfig

const { computeQueryMs, computeOperationMs } = limits

/** Refusals of a spec are the caller's business; everything else is not its fault. */
const asRefusal = (error: PublicError): InvalidArgument | FailedPrecondition | Unavailable => {
  switch (error._tag) {
    case "InvalidArgument":
    case "FailedPrecondition":
      return error
    case "Unavailable":
    case "DeadlineExceeded":
      return new Unavailable({ message: error.message })
    default:
      return new FailedPrecondition({ message: error.message })
  }
}

const changeOf = (event: ComputeEvent): DriverChange => {
  switch (event._tag) {
    case "Sandbox":
      return { _tag: "Seen", observation: observationOf(event.sandbox) }
    case "Deleted":
      return { _tag: "Gone", id: event.sandboxId }
    case "Platform":
      return { _tag: "Event", id: event.sandboxId, event: event.event }
  }
}

const make = (config: ExternalDriverConfig) =>
  Effect.gen(function* () {
    const link = yield* DriverLink.make(config)
    const ensureWorkspace = (workspace: string): Effect.Effect<void, PublicError> =>
      link
        .call(Methods.ensureWorkspace, () => workspace, computeQueryMs)
        .pipe(Effect.catchTag("Unimplemented", () => Effect.void))

    const get = (reference: ComputeReference): Effect.Effect<DriverObservation, PublicError> =>
      link
        .call(Methods.getSandbox, () => reference, computeQueryMs)
        .pipe(
          Effect.map(observationOf),
          Effect.catchTag("NotFound", () => Effect.succeed(absent(reference.id))),
        )

    /** The driver has taken the order; what it makes of it may show later. */
    const ordered = ({ id, name }: ComputeReference): Effect.Effect<DriverObservation> =>
      get({ id, name }).pipe(
        Effect.map((seen) => ({ ...seen, state: "running" as const })),
        Effect.catchAll((error) =>
          Effect.succeed<DriverObservation>({ id, state: "running", instanceId: "", detail: error.message }),
        ),
      )

    const create = (sandbox: DriverSandbox): Effect.Effect<DriverObservation, PublicError> =>
      ensureWorkspace(sandbox.workspace).pipe(
        Effect.zipRight(
          link.call(
            Methods.createSandbox,
            (capabilities) => requestOf(sandbox, capabilities),
            computeOperationMs,
          ),
        ),
        // An earlier attempt whose answer was lost.
        Effect.catchTag("AlreadyExists", () => Effect.void),
        // A failed create has no record, so nobody would ever remove what the driver made nevertheless.
        Effect.onError(() => Effect.ignore(link.call(Methods.deleteSandbox, () => sandbox, computeQueryMs))),
        Effect.zipRight(ordered(sandbox)),
      )

    const start = (sandbox: DriverSandbox): Effect.Effect<DriverObservation, PublicError> =>
      link
        .call(Methods.startSandbox, () => sandbox, computeOperationMs)
        .pipe(
          Effect.zipRight(ordered(sandbox)),
          Effect.catchTag("NotFound", () => create(sandbox)),
        )

    /** Drivers may delete behind their answer, and the name is free only then. */
    const gone = (reference: ComputeReference): Effect.Effect<void, PublicError> =>
      Effect.gen(function* () {
        const deadlineMs = (yield* Clock.currentTimeMillis) + limits.computeGoneMs
        while ((yield* get(reference)).state !== "absent") {
          if ((yield* Clock.currentTimeMillis) > deadlineMs)
            return yield* new DeadlineExceeded({
              message: `compute driver '${config.name}' is still deleting the sandbox`,
            })
          yield* Effect.sleep(limits.computeGonePollMs)
        }
      })

    yield* link.greet.pipe(
      Effect.catchAll(({ message }) =>
        Effect.logWarning(`${message}; sandboxes that run are served, others wait for it`),
      ),
      Effect.forkScoped,
    )

    return Driver.of({
      get name() {
        return config.name === "external" ? (link.known()?.driverName ?? config.name) : config.name
      },
      get version() {
        return link.known()?.driverVersion ?? ""
      },
      validate: (sandbox) =>
        link
          .call(Methods.validateSandbox, (capabilities) => requestOf(sandbox, capabilities), computeQueryMs)
          .pipe(Effect.mapError(asRefusal)),
      create,
      start,
      stop: (id, name = "") =>
        link
          .call(Methods.stopSandbox, () => ({ id, name }), computeOperationMs)
          .pipe(Effect.catchTag("NotFound", () => Effect.void)),
      delete: (id, name = "") =>
        link
          .call(Methods.deleteSandbox, () => ({ id, name }), computeOperationMs)
          .pipe(
            Effect.catchTag("NotFound", () => Effect.succeed(false)),
            Effect.tap((deleted) => (deleted ? gone({ id, name }) : Effect.void)),
          ),
      observe: (id, name = "") => get({ id, name }),
      list: link
        .call(Methods.listSandboxes, () => undefined, computeQueryMs)
        .pipe(Effect.map((sandboxes) => sandboxes.map(observationOf))),
      removeWorkspace: (workspace) =>
        link
          .call(Methods.deleteWorkspace, () => workspace, computeOperationMs)
          .pipe(Effect.catchTags({ Unimplemented: () => Effect.void, NotFound: () => Effect.void })),
      changes: link.watch.pipe(
        Stream.map(changeOf),
        Stream.catchAll(({ message }) =>
          Stream.drain(
            Stream.fromEffect(Effect.logDebug(`The watch of the compute driver ended: ${message}`)),
          ),
        ),
        Stream.repeat(Schedule.spaced(limits.computeWatchPauseMs)),
      ),
    })
  }).pipe(Effect.annotateLogs({ module: "driver" }))

export const layer = (config: ExternalDriverConfig): Layer.Layer<Driver> => Layer.scoped(Driver, make(config))
