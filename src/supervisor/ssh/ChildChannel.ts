import type { ServerChannel } from "ssh2"
import type { Exit, RunningChild } from "../process/RunningChild.ts"
import * as ServeChild from "../process/ServeChild.ts"
import { forgetSentChunk } from "./Ssh2Quirks.ts"

/** Tells the client how the process ended. */
export const sendExit = (channel: ServerChannel, exit: Exit): void => {
  if ("code" in exit) channel.exit(exit.code)
  else channel.exit(exit.signal.replace(/^SIG/, ""), false, "")
}

/**
 * Joins a channel with a child: input, both outputs, and the exit, then EOF and close. `gone` is the end of the
 * channel or of its connection; a child that still runs then is ended.
 */
export const serveChild = async (
  channel: ServerChannel,
  child: RunningChild,
  gone: Promise<void>,
): Promise<void> => {
  // The end of a client's input is no hang-up of the terminal: sshd leaves it open too.
  channel.pipe(child.stdin, { end: child.stderr !== undefined })
  channel.on("error", () => undefined)
  await ServeChild.serveChild(child, {
    send: (chunk, errors, done) => {
      const target = errors ? channel.stderr : channel
      target.write(chunk, () => {
        forgetSentChunk(channel)
        done()
      })
    },
    exit: (exit) => sendExit(channel, exit),
    background: true,
    gone,
  })
  channel.unpipe(child.stdin)
  channel.end()
}
