/** Commands that print for a while, one after another: long output that nobody's input drives. */
import { Writable } from "node:stream"
import { Effect, Either } from "effect"
import { exec } from "../../../client/Exec.ts"
import { Checker } from "../../check/Checker.ts"
import { randomContent } from "../../check/Content.ts"
import { printCommand } from "../../sandbox/SandboxProgram.ts"
import { brokenBy, outputPieces, StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"
import { Sender } from "../Sender.ts"

export const output: StreamLife = (context) =>
  Effect.gen(function* () {
    for (let index = 0; !context.stopping(); index++) yield* print(context, context.seed + 7_919 * index)
  })

const print = (context: StreamContext, seed: number): Effect.Effect<void, StreamBroken> =>
  Effect.gen(function* () {
    const { stall, tally, pace, place, client } = context
    tally.begin()
    const { intervalMs, pieceBytes } = pace
    const pieces = yield* outputPieces(context)
    const checker = new Checker(randomContent(seed))
    const expected = new Sender(randomContent(seed))
    const stdout = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        checker.push(chunk)
        tally.works()
        const nowMs = performance.now()
        stall.satisfied(nowMs)
        // The command prints the next piece an interval later. Before the first byte it starts.
        stall.expect(nowMs + intervalMs)
        done()
      },
    })
    const stderr = new Writable({ write: (_chunk, _encoding, done) => done() })
    const command = printCommand({ seed, pieces, pieceBytes, intervalMs })
    const ended = yield* exec(client, { sandboxId: place.sandbox.id, command }, { stdout, stderr }).pipe(
      Effect.mapError(brokenBy),
      Effect.filterOrFail(
        (code) => code === 0,
        (code) => new StreamBroken(`exit code ${code}`),
      ),
      Effect.either,
    )
    stall.satisfied(performance.now())
    if (Either.isLeft(ended)) {
      tally.partial(checker)
      return yield* Effect.fail(new StreamBroken(`output: ${ended.left.text}`))
    }
    for (let piece = 0; piece < pieces; piece++) expected.piece(pieceBytes)
    tally.whole(checker, expected.sent, expected.sha256())
  })
