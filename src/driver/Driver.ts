/**
 * A driver makes sandboxes exist: it turns a sandbox record into running processes and back.
 * Every operation is idempotent and safe to repeat from any replica, because the reconciler retries them.
 */
import { Context, type Effect, type Redacted, type Stream } from "effect"
import type { FailedPrecondition, InvalidArgument, PublicError, Unavailable } from "../domain/Errors.ts"
import type { PlatformEvent, SandboxSpec } from "../domain/Sandbox.ts"

/** What a driver needs to know of a sandbox; the token is the sandbox's JWT and reaches nobody else. */
export interface DriverSandbox {
  readonly id: string
  readonly name: string
  readonly workspace: string
  readonly spec: SandboxSpec
  readonly token: Redacted.Redacted<string>
}

/**
 * - `stopped`: the sandbox's files exist and nothing of it runs, for whatever reason.
 * - `suspended`: as stopped, and the driver was told to stop it.
 * - `failed`: it cannot run, and the driver does not expect that to change.
 * - `absent`: the driver knows nothing of it.
 */
export type DriverState = "running" | "stopped" | "suspended" | "failed" | "absent"

export interface DriverObservation {
  readonly id: string
  readonly state: DriverState
  /** The driver's own name of the running instance (the process driver: `<pid>-<start ticks>`); empty unless running. */
  readonly instanceId: string
  /** One line for people. */
  readonly detail: string
}

/** What a driver tells by itself. `Event` is for the sandbox's history. */
export type DriverChange =
  | { readonly _tag: "Seen"; readonly observation: DriverObservation }
  | { readonly _tag: "Gone"; readonly id: string }
  | { readonly _tag: "Event"; readonly id: string; readonly event: PlatformEvent }

export class Driver extends Context.Tag("holdfast/Driver")<
  Driver,
  {
    readonly name: string
    readonly version: string
    /** Others run the sandboxes: it neither starts nor sees them, so there is nothing to hold the records against. */
    readonly blind?: true
    /** Refuses a spec that this driver cannot run, before anything is stored. */
    readonly validate: (
      sandbox: DriverSandbox,
    ) => Effect.Effect<void, InvalidArgument | FailedPrecondition | Unavailable>
    /** Makes the sandbox's files and starts it. A running one is left alone. */
    readonly create: (sandbox: DriverSandbox) => Effect.Effect<DriverObservation, PublicError>
    /** Starts a stopped sandbox with its files as they are. A running one is left alone. */
    readonly start: (sandbox: DriverSandbox) => Effect.Effect<DriverObservation, PublicError>
    /**
     * Returns when every process of the sandbox is gone; its files stay. An unknown id is a success. The sandbox's
     * name, here and below, is for drivers that go by names.
     */
    readonly stop: (id: string, name?: string) => Effect.Effect<void, PublicError>
    /** Stops, then removes the files; false when there was nothing to remove. */
    readonly delete: (id: string, name?: string) => Effect.Effect<boolean, PublicError>
    readonly observe: (id: string, name?: string) => Effect.Effect<DriverObservation, PublicError>
    readonly list: Effect.Effect<ReadonlyArray<DriverObservation>, PublicError>
    /** Forgets what it keeps for a workspace that has no sandboxes; a driver without it keeps nothing. */
    readonly removeWorkspace?: (workspace: string) => Effect.Effect<void, PublicError>
    /** Never ends; a driver without it tells nothing by itself and is asked. */
    readonly changes?: Stream.Stream<DriverChange>
  }
>() {}
