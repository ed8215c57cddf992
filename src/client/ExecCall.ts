/** A running command as its messages, whichever way they travel. */
import type { ExecEvent, ExecInput } from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import { execStream } from "../wire/ExecStream.ts"
import type { OpenCall } from "../wire/grpc/Calls.ts"
import { MessageReader } from "../wire/grpc/MessageReader.ts"
import { writeMessage } from "../wire/grpc/MessageWriter.ts"
import type { OpenStream } from "./Streams.ts"

export interface ExecCall {
  /** Resolves when more is taken; rejects when the call is over. */
  readonly send: (input: ExecInput) => Promise<void>
  /** The end of the command's input. */
  readonly end: () => void
  /** The next event; undefined after the last. Rejects with what broke the call. */
  readonly receive: () => Promise<ExecEvent | undefined>
  /** After the exit event: leaves in order. */
  readonly finish: () => Promise<void>
}

/** Over a stream: each message with gRPC's five bytes before it, uncompressed, both ways. */
export const callOverStream = (stream: OpenStream): ExecCall => {
  const { duplex } = stream
  const reader = new MessageReader(duplex, limits.responseMessageBytes)
  const explained = async (cause: unknown): Promise<never> => {
    throw duplex.errored === null ? cause : await stream.reason(duplex.errored)
  }
  return {
    send: (input) => writeMessage(duplex, execStream.encodeInput(input)).catch(explained),
    end: () => {
      duplex.end()
    },
    receive: async () => {
      const bytes = await reader.read().catch(explained)
      return bytes === undefined ? undefined : execStream.decodeEvent(bytes)
    },
    finish: () => {
      reader.release()
      return stream.finish()
    },
  }
}

/** Over ExecSandboxInteractive, for gateways and supervisors that know no other way. */
export const callOverInteractive = (call: OpenCall<ExecInput, ExecEvent>): ExecCall => ({
  send: (input) => call.send(input),
  end: () => call.end(),
  receive: () => call.receive(),
  finish: async () => undefined,
})
