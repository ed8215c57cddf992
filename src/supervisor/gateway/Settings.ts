/** What the gateway tells a sandbox about itself: read at start, then polled. */
import { Effect, Ref, Schedule } from "effect"
import { limits } from "../../domain/Limits.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import type { GrpcError } from "../../wire/grpc/GrpcError.ts"
import { type GetSandboxConfigResponse, OpenShell } from "../../wire/OpenShell.ts"
import type { Launcher } from "../process/Launcher.ts"
import { SupervisorError } from "../SupervisorError.ts"
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

/** Credentials are an addition: without them the sandbox runs, and the next change of revision tries again. */
const loadProviders = ({ link, sandboxId, launcher }: SettingsDependencies): Effect.Effect<void, GrpcError> =>
  link
    .call(OpenShell.method.getSandboxProviderEnvironment, {
      sandboxId,
      supportsStaticCredentialBindings: true,
    })
    .pipe(Effect.map(({ environment }) => launcher.setProviderVariables(environment)))

const describe = (error: GrpcError): string => `${error.message} (status ${error.code})`

/**
 * The start-up sequence. A gateway that refuses the sandbox ends the supervisor; one that cannot be reached does
 * not, because the session keeps trying and finds the cluster when it is back.
 */
export const loadAtStart = (
  dependencies: SettingsDependencies,
): Effect.Effect<bigint | undefined, SupervisorError> => {
  const { link, sandboxId } = dependencies
  return link.call(OpenShell.method.getSandboxConfig, { sandboxId }).pipe(
    Effect.retry({ schedule: startSchedule, while: isRetryable }),
    Effect.flatMap((config) =>
      loadProviders(dependencies).pipe(
        Effect.as<bigint | undefined>(config.providerEnvRevision),
        Effect.catchAll((error) =>
          Effect.as(
            Effect.logWarning("no provider environment").pipe(
              Effect.annotateLogs({ reason: describe(error) }),
            ),
            undefined,
          ),
        ),
      ),
    ),
    Effect.catchAll((error) =>
      isRetryable(error)
        ? Effect.as(
            Effect.logWarning("the gateway gave no configuration; going on without").pipe(
              Effect.annotateLogs({ reason: describe(error) }),
            ),
            undefined,
          )
        : new SupervisorError({
            reason: "start",
            message: `the gateway refused sandbox ${sandboxId}: ${describe(error)}`,
          }),
    ),
  )
}

/** Follows changes on the connection of the current session; without one there is nothing to follow. */
export const pollSettings = (
  dependencies: SettingsDependencies,
  intervalMs: () => number,
  connection: () => GrpcConnection | undefined,
  initialRevision: bigint | undefined,
): Effect.Effect<never> =>
  Effect.gen(function* () {
    const { link, sandboxId } = dependencies
    const revision = yield* Ref.make(initialRevision)
    const apply = (config: GetSandboxConfigResponse): Effect.Effect<void, GrpcError> =>
      Effect.flatMap(Ref.get(revision), (known) =>
        known === config.providerEnvRevision
          ? Effect.void
          : Effect.zipRight(loadProviders(dependencies), Ref.set(revision, config.providerEnvRevision)),
      )
    const once = Effect.suspend(() => {
      const current = connection()
      return current === undefined || current.draining
        ? Effect.void
        : link.callOn(current, OpenShell.method.getSandboxConfig, { sandboxId }).pipe(Effect.flatMap(apply))
    }).pipe(
      Effect.catchAll((error) =>
        Effect.logDebug("settings not read").pipe(Effect.annotateLogs({ reason: describe(error) })),
      ),
    )
    return yield* Effect.suspend(() => Effect.delay(once, intervalMs())).pipe(Effect.forever)
  })
