/** A running command as its messages, whichever way they travel. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { limits } from "../domain/Limits.ts"
import { MessageReader } from "../wire/grpc/MessageReader.ts"
import { writeMessage } from "../wire/grpc/MessageWriter.ts"
import { decodeMessage, encodeMessage, type TypedCall } from "../wire/grpc/Typed.ts"
import { ExecSandboxEventSchema, ExecSandboxInputSchema } from "../wire/OpenShell.ts"
import type { OpenStream } from "./Streams.ts"

export interface ExecCall {
  /** Resolves when more is taken; rejects when the call is over. */
  readonly send: (
    payload: NonNullable<MessageInitShape<typeof ExecSandboxInputSchema>["payload"]>,
  ) => Promise<void>
  /** The end of the command's input. */
  readonly end: () => void
  /** The next event; undefined after the last. Rejects with what broke the call. */
  readonly receive: TypedCall<typeof ExecSandboxInputSchema, typeof ExecSandboxEventSchema>["receive"]
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
    send: (payload) =>
      writeMessage(duplex, encodeMessage(ExecSandboxInputSchema, { payload })).catch(explained),
    end: () => {
      duplex.end()
    },
    receive: async () => {
      const bytes = await reader.read().catch(explained)
      return bytes === undefined ? undefined : decodeMessage(ExecSandboxEventSchema, bytes)
    },
    finish: () => {
      reader.release()
      return stream.finish()
    },
  }
}

/** Over ExecSandboxInteractive, for gateways and supervisors that know no other way. */
export const callOverInteractive = (
  call: TypedCall<typeof ExecSandboxInputSchema, typeof ExecSandboxEventSchema>,
): ExecCall => ({
  send: (payload) => call.send({ payload }),
  end: () => call.end(),
  receive: () => call.receive(),
  finish: async () => undefined,
})
