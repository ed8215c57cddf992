/** Short commands, one after another: each prints a word and exits 0. */
import { Clock, Effect } from "effect"
import { exec } from "../../../client/Exec.ts"
import { wordOf } from "../../check/Content.ts"
import { Collector } from "../Collector.ts"
import { brokenBy, rest, StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"

/** On average between commands, in intervals of the pace: a command costs the sandbox a process. */
const pauseIntervals = 8

export const execs: StreamLife = (context) =>
  Effect.gen(function* () {
    for (let index = 0; !context.stopping(); index++) {
      const startedAtMs = yield* Clock.currentTimeMillis
      context.tally.begin()
      yield* once(context, wordOf(context.seed, index)).pipe(
        Effect.match({
          onSuccess: () => context.tally.operation(),
          onFailure: ({ text }) => context.tally.failedOperation(`exec: ${text}`),
        }),
      )
      context.latency((yield* Clock.currentTimeMillis) - startedAtMs)
      yield* rest(context, pauseIntervals)
    }
  })

const once = ({ client, place }: StreamContext, word: string): Effect.Effect<void, StreamBroken> =>
  Effect.gen(function* () {
    const stdout = new Collector()
    const stderr = new Collector()
    const request = { sandboxId: place.sandbox.id, command: ["echo", word] }
    const code = yield* exec(client, request, { stdout, stderr }).pipe(Effect.mapError(brokenBy))
    if (code !== 0) return yield* Effect.fail(new StreamBroken(`exit code ${code}: ${stderr.text}`))
    if (stdout.text !== `${word}\n`) {
      return yield* Effect.fail(new StreamBroken(`wrong output: ${JSON.stringify(stdout.text)}`))
    }
  })
