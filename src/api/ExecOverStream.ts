/** A command that the supervisor itself runs: its messages and events pass through this replica unread. */
import type { DescMessage } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { Unavailable } from "../domain/Errors.ts"
import { noExitStatus } from "../edge/ExecSession.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { writeFrame } from "../wire/grpc/MessageWriter.ts"
import { encodeMessage, type TypedServerCall } from "../wire/grpc/Typed.ts"
import {
  type ExecSandboxEventSchema,
  ExecSandboxInputSchema,
  type ExecSandboxRequest,
} from "../wire/OpenShell.ts"

/**
 * Starts `request` and completes with its last event. `interactive`: the call's further messages are input until
 * the client half-closes; otherwise the request has all of it.
 */
export const execOverStream = <I extends DescMessage>(
  { call, incoming }: Pick<TypedServerCall<I, typeof ExecSandboxEventSchema>, "call" | "incoming">,
  stream: ResumableDuplex,
  request: ExecSandboxRequest,
  interactive: boolean,
): Effect.Effect<void, Unavailable> =>
  Effect.async((resume) => {
    call.sendHeaders()
    writeFrame(stream, encodeMessage(ExecSandboxInputSchema, { payload: { case: "start", value: request } }))
    if (interactive) {
      const rest = incoming.release()
      if (rest.length > 0) stream.write(rest)
      if (incoming.ended) stream.end()
      else call.stream.pipe(stream)
    } else {
      stream.end()
    }
    stream.pipe(call.stream, { end: false })
    stream.once("end", () => resume(Effect.void))
    stream.once("close", () => resume(Effect.fail(new Unavailable({ message: noExitStatus }))))
  })
