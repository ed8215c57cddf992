import { limits } from "../../domain/Limits.ts"
import { ChildOutput, type SendOutput } from "./ChildOutput.ts"
import { terminate } from "./ProcessGroup.ts"
import type { Exit, RunningChild } from "./RunningChild.ts"

/** Who started a child and wants what it prints. */
export interface ChildClient {
  readonly send: SendOutput
  /** Told once, after the output; not at all to a client that is gone. */
  readonly exit: (exit: Exit) => void
  /** Whether output of background processes that outlive the child is wanted, as with sshd. */
  readonly background: boolean
  /** A child that still runs when its client is gone is ended. */
  readonly gone: Promise<void>
}

/** Passes both outputs and the exit of a child on. Settles when no more will follow; the child is released then. */
export const serveChild = async (
  child: RunningChild,
  { send, exit, background, gone }: ChildClient,
): Promise<void> => {
  const terminal = child.stderr === undefined
  const output = new ChildOutput(send)
  output.add(child.stdout, false)
  if (child.stderr !== undefined) output.add(child.stderr, true)

  let exited = false
  let over = false
  void gone.then(() => {
    over = true
    output.stop()
    if (exited) child.release()
    else void terminate(child)
  })

  const how = await child.exited
  exited = true
  await output.quiet(terminal ? limits.ptyQuietMs : limits.childQuietMs)
  if (terminal) child.release()
  if (!over) exit(how)
  // Background processes that still hold the output keep the channel open.
  if (!terminal && background) await output.ended
  child.release()
}
