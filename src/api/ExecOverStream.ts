/** A command that the supervisor itself runs: where the client's wire allows, its messages pass through unread. */
import type { Duplex } from "node:stream"
import { Effect } from "effect"
import { Unavailable } from "../domain/Errors.ts"
import type { ExecEvent, ExecInput, ExecStart } from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import { noExitStatus } from "../edge/ExecSession.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { execStream } from "../wire/ExecStream.ts"
import { MessageReader } from "../wire/grpc/MessageReader.ts"
import { writeFrame, writeMessage } from "../wire/grpc/MessageWriter.ts"
import type { Exchange } from "./Operation.ts"

/** The stream that ends in the supervisor. */
export type CommandStream = Duplex & Pick<ResumableDuplex, "abort">

/**
 * Starts a command and completes with its last event. `rest`: the exchange when its further messages are input
 * until the client half-closes; without it the start has all of the input.
 */
export const execOverStream = (
  exchange: Exchange<unknown, ExecEvent>,
  stream: CommandStream,
  start: ExecStart,
  rest?: Exchange<ExecInput, ExecEvent>,
): Effect.Effect<void, Unavailable> =>
  Effect.async((resume) => {
    const { call, incoming } = exchange
    call.sendHeaders()
    writeFrame(stream, execStream.encodeInput({ _tag: "Start", start }))
    if (rest === undefined) stream.end()
    else if (exchange.isExecStream) {
      const read = incoming.release()
      if (read.length > 0) stream.write(read)
      if (incoming.ended) stream.end()
      else call.stream.pipe(stream)
    } else {
      feed(rest, stream).then(
        () => stream.end(),
        () => stream.abort("cancelled", "the client's input broke off"),
      )
    }
    const ended = () => resume(Effect.void)
    const broken = () => resume(Effect.fail(new Unavailable({ message: noExitStatus })))
    if (exchange.isExecStream) {
      stream.pipe(call.stream, { end: false })
      stream.once("end", ended)
      stream.once("close", broken)
    } else deliver(stream, exchange).then(ended, broken)
  })

/** Input of another wire, message by message. */
const feed = async (exchange: Exchange<ExecInput, ExecEvent>, stream: CommandStream): Promise<void> => {
  for (;;) {
    const input = await exchange.receive()
    if (input === undefined) return
    await writeMessage(stream, execStream.encodeInput(input))
  }
}

/** Events for another wire, message by message. */
const deliver = async (stream: CommandStream, exchange: Exchange<unknown, ExecEvent>): Promise<void> => {
  const reader = new MessageReader(stream, limits.responseMessageBytes)
  for (;;) {
    const bytes = await reader.read()
    if (bytes === undefined) return
    await exchange.send(execStream.decodeEvent(bytes))
  }
}
