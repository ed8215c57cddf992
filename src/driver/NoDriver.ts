/**
 * No driver: sandboxes are run by somebody else, who gives each supervisor its token and the address of the
 * gateway. The gateway keeps their records and serves their sessions; it starts and ends nothing.
 */
import { Effect, Layer } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { Driver, type DriverObservation } from "./Driver.ts"

/** Somebody else knows better: a sandbox is taken to run until its record is removed. */
const elsewhere = (id: string): DriverObservation => ({
  id,
  state: "running",
  instanceId: "",
  detail: "run by somebody else",
})

export const layer: Layer.Layer<Driver> = Layer.succeed(Driver, {
  name: "none",
  blind: true,
  version: packageJson.version,
  validate: () => Effect.void,
  create: ({ id }) => Effect.succeed(elsewhere(id)),
  start: ({ id }) => Effect.succeed(elsewhere(id)),
  stop: () => Effect.void,
  delete: () => Effect.succeed(false),
  observe: (id) => Effect.succeed(elsewhere(id)),
  list: Effect.succeed([]),
})
