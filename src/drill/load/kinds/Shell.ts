/**
 * A terminal in which somebody types one command after another. The terminal echoes what is typed, then the
 * command prints a word, so the whole transcript is known in advance.
 */
import { PassThrough, Writable } from "node:stream"
import { Effect, Either } from "effect"
import { exec } from "../../../client/Exec.ts"
import { Checker } from "../../check/Checker.ts"
import { lineContent, wordOf } from "../../check/Content.ts"
import { brokenBy, StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"
import { Sender } from "../Sender.ts"

/** A shell without the line editing of an interactive one, whose escapes depend on the machine. */
const loop = `while IFS= read -r line; do eval "$line"; done`
const endOfInput = "\u0004"

const typedOf = (seed: number, index: number): string => `echo ${wordOf(seed, index)}`
const answerOf = (seed: number, index: number): string =>
  `${typedOf(seed, index)}\r\n${wordOf(seed, index)}\r\n`

export const shell: StreamLife = (context) =>
  Effect.gen(function* () {
    const { seed, stall, tally, pace, place, client } = context
    const lineBytes = answerOf(seed, 0).length
    const content = lineContent(lineBytes, (index) => answerOf(seed, index))
    const expected = new Sender(content)
    const checker = new Checker(content)
    const stdin = new PassThrough()
    let typed = 0
    const type = (): void => {
      if (stdin.writableEnded || checker.received < expected.sent) return
      stall.expect(performance.now())
      if (context.stopping()) {
        stdin.end(endOfInput)
        return
      }
      expected.piece(lineBytes)
      stdin.write(`${typedOf(seed, typed)}\n`)
      typed += 1
    }
    const screen = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        checker.push(chunk)
        tally.works()
        if (checker.received >= expected.sent && !stdin.writableEnded) stall.satisfied(performance.now())
        else stall.progress(performance.now())
        done()
      },
    })
    const timer = setInterval(type, pace.intervalMs)
    const request = {
      sandboxId: place.sandbox.id,
      command: ["/bin/sh", "-c", loop],
      terminal: { columns: 120, rows: 40 },
    }
    const ended = yield* exec(client, request, { stdin, stdout: screen, stderr: screen }).pipe(
      Effect.mapError(brokenBy),
      Effect.filterOrFail(
        (code) => code === 0 && stdin.writableEnded,
        (code) => new StreamBroken(`the shell ended with code ${code}`),
      ),
      Effect.ensuring(Effect.sync(() => clearInterval(timer))),
      Effect.either,
    )
    return yield* settle(context, checker, expected, ended)
  })

const settle = (
  { stall, tally }: StreamContext,
  checker: Checker,
  expected: Sender,
  ended: Either.Either<number, StreamBroken>,
): Effect.Effect<void, StreamBroken> =>
  Effect.suspend(() => {
    if (Either.isLeft(ended)) {
      tally.partial(checker)
      return Effect.fail(new StreamBroken(`shell: ${ended.left.text}`))
    }
    stall.satisfied(performance.now())
    tally.whole(checker, expected.sent, expected.sha256())
    return Effect.void
  })
