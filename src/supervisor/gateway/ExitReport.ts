import { Effect, Schedule } from "effect"
import { limits } from "../../domain/Limits.ts"
import { supervisorCalls } from "../../wire/openshell-v1/SupervisorCalls.ts"
import type { Identity } from "../session/Session.ts"
import type { GatewayLink } from "./GatewayLink.ts"

/** Tells the cluster how the main process ended, until it has heard: nobody else knows. */
export const reportExit = (link: GatewayLink, identity: Identity, exitCode: number): Effect.Effect<void> => {
  const pause = Schedule.exponential(limits.exitReportPauseMs).pipe(
    Schedule.union(Schedule.spaced(limits.exitReportPauseCapMs)),
  )
  const { sandboxId, instanceId } = identity
  return link.ask(supervisorCalls.reportExit, { sandboxId, instanceId, exitCode }).pipe(
    Effect.tapError((error) =>
      Effect.logWarning("exit not reported").pipe(
        Effect.annotateLogs({ reason: error.message, status: error.code }),
      ),
    ),
    Effect.retry(pause),
    Effect.ignore,
  )
}
