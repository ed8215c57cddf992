/** What the gateway tells a sandbox about itself: read at start, when a gateway says that it changed, and polled. */
import { userInfo } from "node:os"
import { Clock, Effect, Option, Queue, Random, Schedule } from "effect"
import { limits } from "../../domain/Limits.ts"
import { monotonicMs } from "../../domain/Monotonic.ts"
import type { SandboxConfig } from "../../domain/SandboxConfig.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import type { GrpcError } from "../../wire/grpc/GrpcError.ts"
import { configCalls } from "../../wire/openshell-v1/Config.ts"
import { supervisorCalls } from "../../wire/openshell-v1/SupervisorCalls.ts"
import type { Launcher } from "../process/Launcher.ts"
import { SupervisorError } from "../SupervisorError.ts"
import { unenforced } from "./Enforcement.ts"
import { type GatewayLink, isRetryable } from "./GatewayLink.ts"

export interface SettingsDependencies {
  readonly link: GatewayLink
  readonly sandboxId: string
  readonly launcher: Launcher
}

/** Pauses of 1, 2, 4 and 4 s between five attempts. */
const startSchedule = Schedule.exponential(limits.supervisorStartPauseMs).pipe(
  Schedule.union(Schedule.spaced(limits.supervisorStartPauseCapMs)),
  Schedule.intersect(Schedule.recurs(limits.supervisorStartAttempts - 1)),
)

const describe = (error: GrpcError): string => `${error.message} (status ${error.code})`

/** A user id without a passwd entry has no name. */
const ownUser = (): string => {
  try {
    return userInfo().username
  } catch {
    return ""
  }
}

/** How a call is made: on a connection of its own, or on that of the session. */
type Ask = GatewayLink["ask"]

/**
 * Until the next poll; earlier when a credential ends before, because the gateway then has a shorter environment. Not
 * at every moment, whatever the clocks say.
 */
export const pollAfterMs = (intervalMs: number, credentialEndsMs: number, nowMs: number): number =>
  Math.min(intervalMs, Math.max(limits.configPollMs, credentialEndsMs - nowMs))

/** Follows the configuration of one sandbox. */
export class Settings {
  readonly #dependencies: SettingsDependencies
  readonly #ownUser = ownUser()
  /** Wakes whoever follows, after a change was told. */
  readonly #told: Queue.Queue<void>
  /** Shortest spread of the changes that were told since it woke. */
  #spreadMs = Number.POSITIVE_INFINITY
  #providerEnvRevision: string | undefined
  /** When the next credential ends; infinity when none does. */
  #credentialEndsMs = Number.POSITIVE_INFINITY
  #reportedVersion = 0

  private constructor(dependencies: SettingsDependencies, told: Queue.Queue<void>) {
    this.#dependencies = dependencies
    this.#told = told
  }

  static readonly make = (dependencies: SettingsDependencies): Effect.Effect<Settings> =>
    Effect.map(Queue.sliding<void>(1), (told) => new Settings(dependencies, told))

  /** There is a session: whatever changed while there was none was told to nobody. */
  connected(): void {
    this.changed(this.#providerEnvRevision === undefined ? 0 : limits.configFetchSpreadMs)
  }

  /** A gateway says that the configuration changed: it is read after a random wait up to `spreadMs`. */
  changed(spreadMs: number): void {
    this.#spreadMs = Math.min(this.#spreadMs, spreadMs, limits.configFetchSpreadMs)
    this.#told.unsafeOffer(undefined)
  }

  /**
   * The start-up sequence. A gateway that refuses the sandbox ends the supervisor; one that cannot be reached does
   * not, because the session keeps trying and finds the cluster when it is back.
   */
  readonly load: Effect.Effect<void, SupervisorError> = Effect.suspend(() => {
    const { link, sandboxId } = this.#dependencies
    const ask: Ask = (method, request) => link.ask(method, request)
    return ask(configCalls.get, sandboxId).pipe(
      Effect.retry({ schedule: startSchedule, while: isRetryable }),
      Effect.flatMap((config) => this.#apply(ask, config)),
      Effect.catchAll((error) =>
        isRetryable(error)
          ? Effect.logWarning("the gateway gave no configuration; going on without").pipe(
              Effect.annotateLogs({ reason: describe(error) }),
            )
          : new SupervisorError({
              reason: "start",
              message: `the gateway refused sandbox ${sandboxId}: ${describe(error)}`,
            }),
      ),
    )
  })

  /** Follows changes on the connection of the current session; without one there is nothing to follow. */
  readonly follow = (
    intervalMs: () => number,
    connection: () => GrpcConnection | undefined,
  ): Effect.Effect<never> =>
    Effect.gen(this, function* () {
      let dueMs =
        (yield* monotonicMs) +
        pollAfterMs(intervalMs(), this.#credentialEndsMs, yield* Clock.currentTimeMillis)
      while (true) {
        const leftMs = Math.max(0, dueMs - (yield* monotonicMs))
        const told = yield* Effect.timeoutOption(Queue.take(this.#told), leftMs)
        if (Option.isSome(told)) {
          const waitMs = (yield* Random.next) * this.#spreadMs
          this.#spreadMs = Number.POSITIVE_INFINITY
          // A change that was told with less patience, or a poll that is due, does not wait for this one.
          if (Number.isFinite(waitMs)) dueMs = Math.min(dueMs, (yield* monotonicMs) + waitMs)
          continue
        }
        yield* this.#read(connection())
        dueMs =
          (yield* monotonicMs) +
          pollAfterMs(intervalMs(), this.#credentialEndsMs, yield* Clock.currentTimeMillis)
      }
    })

  #read(connection: GrpcConnection | undefined): Effect.Effect<void> {
    const { link, sandboxId } = this.#dependencies
    if (connection === undefined || connection.draining) return Effect.void
    const ask: Ask = (method, request) => link.askOn(connection, method, request)
    return ask(configCalls.get, sandboxId).pipe(
      Effect.flatMap((config) => this.#apply(ask, config)),
      Effect.catchAll((error) =>
        Effect.logDebug("settings not read").pipe(Effect.annotateLogs({ reason: describe(error) })),
      ),
    )
  }

  #apply(ask: Ask, config: SandboxConfig): Effect.Effect<void> {
    return Effect.zipRight(this.#loadProviders(ask, config), this.#report(ask, config))
  }

  /** Credentials are an addition: without them the sandbox runs, and the next read tries again. */
  #loadProviders(ask: Ask, { providerEnvRevision }: SandboxConfig): Effect.Effect<void> {
    const { sandboxId, launcher } = this.#dependencies
    if (this.#providerEnvRevision === providerEnvRevision) return Effect.void
    return ask(supervisorCalls.providerEnvironment, sandboxId).pipe(
      Effect.tap(({ variables, expiresAtMs }) =>
        Effect.sync(() => {
          launcher.setProviderVariables(variables)
          this.#providerEnvRevision = providerEnvRevision
          this.#credentialEndsMs = Math.min(...expiresAtMs)
        }),
      ),
      Effect.asVoid,
      Effect.catchAll((error) =>
        Effect.logWarning("no provider environment").pipe(Effect.annotateLogs({ reason: describe(error) })),
      ),
    )
  }

  /** Says once of each version whether it is in force; the next read tries again where that does not arrive. */
  #report(ask: Ask, { policy, version, policySource }: SandboxConfig): Effect.Effect<void> {
    if (policy === undefined || version <= this.#reportedVersion) return Effect.void
    const { sandboxId } = this.#dependencies
    const reason = unenforced(policy, this.#ownUser)
    const warned =
      reason === undefined
        ? Effect.void
        : Effect.logWarning("the policy is not in force").pipe(Effect.annotateLogs({ version, reason }))
    // A global policy has no version of this sandbox's that could be reported.
    if (policySource === "global") return Effect.void
    return Effect.zipRight(
      warned,
      ask(configCalls.report, {
        sandboxId,
        version,
        status: reason === undefined ? "loaded" : "failed",
        loadError: reason ?? "",
      }),
    ).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          this.#reportedVersion = version
        }),
      ),
      Effect.asVoid,
      Effect.catchAll((error) =>
        Effect.logDebug("policy status not reported").pipe(Effect.annotateLogs({ reason: describe(error) })),
      ),
    )
  }
}
