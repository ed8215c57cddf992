/** The sandbox records of a fleet, written as a driver that runs sandboxes elsewhere would leave them. */
import { Clock, Effect, Redacted } from "effect"
import type { FailedPrecondition, Internal, NotFound, Unavailable } from "../../domain/Errors.ts"
import { limits } from "../../domain/Limits.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import * as Phase from "../../sandbox/Phase.ts"
import { Sandboxes } from "../../store/Sandboxes.ts"
import * as Store from "../../store/Store.ts"
import { fleetId, fleetName } from "./FleetSpec.ts"

interface FleetRecordsOptions {
  readonly databaseUrl: string
  readonly clusterId: string
  readonly prefix: string
  readonly count: number
}

const record = (prefix: string, index: number, nowMs: number): Sandbox => ({
  id: fleetId(prefix, index),
  workspace: "default",
  name: fleetName(prefix, index),
  createdAtMs: nowMs,
  deletionTimestampMs: 0,
  labels: { fleet: prefix },
  annotations: {},
  resourceVersion: 1,
  spec: { logLevel: "", environment: {}, providers: [], command: [], tty: false },
  // It has been up before: its first session is behind it, as in any fleet whose replicas are replaced.
  status: Phase.sessionLost(Phase.attached(Phase.initial(nowMs), "earlier", nowMs), nowMs),
})

/** Those that exist already stay as they are. */
export const insertFleet = (
  options: FleetRecordsOptions,
): Effect.Effect<void, NotFound | Unavailable | FailedPrecondition | Internal> =>
  Effect.gen(function* () {
    const sandboxes = yield* Sandboxes
    const nowMs = yield* Clock.currentTimeMillis
    yield* Effect.forEach(
      Array.from({ length: options.count }, (_, index) => record(options.prefix, index, nowMs)),
      (sandbox) => Effect.catchTag(sandboxes.insert(sandbox), "AlreadyExists", () => Effect.void),
      { concurrency: limits.fleetInserts, discard: true },
    )
  }).pipe(
    Effect.provide(
      Store.layer({
        url: Redacted.make(options.databaseUrl),
        clusterId: options.clusterId,
        applicationName: "holdfast fleet",
      }),
    ),
  )
