import { Clock, Effect, Random, Redacted, Schedule } from "effect"
import { limits } from "../../domain/Limits.ts"
import { supervisorCalls } from "../../wire/openshell-v1/SupervisorCalls.ts"
import type { GatewayLink } from "./GatewayLink.ts"
import { refreshDelayMs, tokenExpiryMs } from "./Token.ts"

/** Replaces the sandbox's token before it ends, for as long as the supervisor runs. */
export const refreshToken = (link: GatewayLink): Effect.Effect<never> => {
  const wait = Effect.gen(function* () {
    const delayMs = refreshDelayMs(
      yield* Clock.currentTimeMillis,
      tokenExpiryMs(link.token.current),
      yield* Random.next,
    )
    yield* Effect.sleep(delayMs)
  })
  const refresh = link.ask(supervisorCalls.refreshToken, undefined).pipe(
    Effect.flatMap(({ token }) => Effect.promise(() => link.token.replace(Redacted.make(token)))),
    Effect.zipRight(Effect.logInfo("sandbox credentials renewed")),
    Effect.tapError((error) =>
      Effect.logWarning("sandbox credentials not renewed").pipe(
        Effect.annotateLogs({ reason: error.message, status: error.code }),
      ),
    ),
    Effect.retry(Schedule.spaced(limits.tokenRefreshRetryMs)),
    Effect.ignore,
  )
  return Effect.forever(Effect.zipRight(wait, refresh))
}
