import type { ServerChannel } from "ssh2"
import { DetachScanner } from "../process/DetachScanner.ts"
import type { Attachment, MainProcess } from "../process/MainProcess.ts"
import type { TerminalSize } from "../process/RunningChild.ts"
import { sendExit } from "./ChildChannel.ts"
import { forgetSentChunk } from "./Ssh2Quirks.ts"

export interface MainChannelOptions {
  readonly readOnly: boolean
  readonly size: TerminalSize | undefined
  readonly gone: Promise<void>
}

/** The notices go to standard error, so that a recorded output stays the process's own. */
const notices = {
  busy: "[holdfast] another terminal types; this one watches until it leaves\r\n",
  promoted: "[holdfast] this terminal types now\r\n",
  full: "[holdfast] too many terminals are attached\r\n",
}

/**
 * Attaches a channel to the main process: what it printed last, then live output; input until Ctrl-P Ctrl-Q
 * detaches. The process goes on when the channel ends. Undefined when no terminal may be added.
 */
export const serveMain = (
  channel: ServerChannel,
  main: MainProcess,
  options: MainChannelOptions,
): Attachment | undefined => {
  const scanner = new DetachScanner()
  const pending: string[] = []
  let attachment: Attachment | undefined
  let over = false
  let writing = false

  const leave = (): void => {
    if (over) return
    over = true
    attachment?.detach()
    channel.end()
  }
  /** Attached until the client has answered: the supervisor ends after this, and cuts what is still on its way. */
  const finish = (): void => {
    if (over) return
    over = true
    channel.once("close", () => attachment?.detach())
    channel.end()
  }
  /** One write at a time over both streams of the channel. */
  const pump = (): void => {
    if (over || writing) return
    const notice = pending.shift()
    const chunk = notice === undefined ? attachment?.read() : undefined
    if (notice === undefined && chunk === undefined) {
      if (attachment === undefined || main.exit === undefined) return
      sendExit(channel, main.exit)
      finish()
      return
    }
    writing = true
    const written = (): void => {
      forgetSentChunk(channel)
      writing = false
      pump()
    }
    if (notice !== undefined) channel.stderr.write(notice, written)
    else channel.write(chunk, written)
  }
  const notify = (text: string): void => {
    pending.push(text)
    pump()
  }
  const onInput = (input: Buffer): void => {
    const { forward, detached } = scanner.push(input)
    if (forward.length > 0 && attachment !== undefined) {
      channel.pause()
      void attachment.write(forward).then(() => channel.resume())
    }
    if (detached) {
      channel.exit(0)
      leave()
    }
  }

  attachment = main.attach({
    readOnly: options.readOnly,
    size: options.size,
    onOutput: pump,
    onPromoted: () => notify(notices.promoted),
  })
  channel.on("error", () => undefined)
  if (attachment === undefined) {
    channel.stderr.write(notices.full, () => {
      channel.exit(1)
      leave()
    })
    return undefined
  }
  if (!options.readOnly && !attachment.owner) notify(notices.busy)
  channel.on("data", onInput)
  void options.gone.then(() => {
    over = true
    attachment?.detach()
  })
  pump()
  return attachment
}
