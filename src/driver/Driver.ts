/**
 * A driver makes sandboxes exist: it turns a sandbox record into running processes and back.
 * Every operation is idempotent and safe to repeat from any replica, because the reconciler retries them.
 */
import { Context, type Effect, type Redacted } from "effect"
import type { FailedPrecondition, InvalidArgument, PublicError } from "../domain/Errors.ts"
import type { SandboxSpec } from "../domain/Sandbox.ts"

/** What a driver needs to know of a sandbox; the token is the sandbox's JWT and reaches nobody else. */
export interface DriverSandbox {
  readonly id: string
  readonly name: string
  readonly workspace: string
  readonly spec: SandboxSpec
  readonly token: Redacted.Redacted<string>
}

/** `stopped`: the sandbox's files exist and nothing of it runs. `absent`: the driver knows nothing of it. */
export type DriverState = "running" | "stopped" | "absent"

export interface DriverObservation {
  readonly id: string
  readonly state: DriverState
  /** The driver's own name of the running instance (the process driver: `<pid>-<start ticks>`); empty unless running. */
  readonly instanceId: string
  /** One line for people. */
  readonly detail: string
}

export class Driver extends Context.Tag("holdfast/Driver")<
  Driver,
  {
    readonly name: string
    readonly version: string
    /** Refuses a spec that this driver cannot run, before anything is stored. */
    readonly validate: (sandbox: DriverSandbox) => Effect.Effect<void, InvalidArgument | FailedPrecondition>
    /** Makes the sandbox's files and starts it. A running one is left alone. */
    readonly create: (sandbox: DriverSandbox) => Effect.Effect<DriverObservation, PublicError>
    /** Starts a stopped sandbox with its files as they are. A running one is left alone. */
    readonly start: (sandbox: DriverSandbox) => Effect.Effect<DriverObservation, PublicError>
    /** Returns when every process of the sandbox is gone; its files stay. An unknown id is a success. */
    readonly stop: (id: string) => Effect.Effect<void, PublicError>
    /** Stops, then removes the files; false when there was nothing to remove. */
    readonly delete: (id: string) => Effect.Effect<boolean, PublicError>
    readonly observe: (id: string) => Effect.Effect<DriverObservation, PublicError>
    readonly list: Effect.Effect<ReadonlyArray<DriverObservation>, PublicError>
  }
>() {}
