import type { ServerChannel } from "ssh2"
import { limits } from "../../domain/Limits.ts"
import { terminate } from "../process/ProcessGroup.ts"
import type { Exit, RunningChild } from "../process/RunningChild.ts"
import { ChannelOutput } from "./ChannelOutput.ts"

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
  const terminal = child.stderr === undefined
  const output = new ChannelOutput(channel)
  output.add(child.stdout, false)
  if (child.stderr !== undefined) output.add(child.stderr, true)
  // The end of a client's input is no hang-up of the terminal: sshd leaves it open too.
  channel.pipe(child.stdin, { end: !terminal })
  channel.on("error", () => undefined)

  let exited = false
  void gone.then(() => {
    output.stop()
    if (exited) child.release()
    else void terminate(child)
  })

  const exit = await child.exited
  exited = true
  if (terminal) {
    await output.quiet(limits.ptyQuietMs)
    child.release()
  } else {
    await output.quiet(limits.childQuietMs)
  }
  sendExit(channel, exit)
  // Background processes that still hold the output keep the channel open, as with sshd.
  if (!terminal) await output.ended
  channel.unpipe(child.stdin)
  channel.end()
  child.release()
}
