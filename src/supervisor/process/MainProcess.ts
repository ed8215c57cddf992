/**
 * The sandbox's main process. It outlives every terminal attached to it: its newest output is kept for whoever
 * attaches next, and one attachment at a time types.
 */
import { limits } from "../../domain/Limits.ts"
import type { Launcher } from "./Launcher.ts"
import { OutputRing } from "./OutputRing.ts"
import { foregroundGroup, signalGroup } from "./ProcessGroup.ts"
import { defaultSize, type Exit, type RunningChild, type TerminalSize } from "./RunningChild.ts"

export interface MainProcessSpec {
  readonly command: readonly [string, ...string[]]
  readonly tty: boolean
}

export interface AttachOptions {
  readonly readOnly: boolean
  /** The size of the attaching terminal, if there is one. */
  readonly size: TerminalSize | undefined
  /** Output or the end may be read again. */
  readonly onOutput: () => void
  /** This attachment types from now on; it was read-only until its predecessor left. */
  readonly onPromoted: () => void
}

export class Attachment {
  /** Offset of the next byte to send. */
  cursor = 0
  size: TerminalSize | undefined
  /** Held the process back for as long as it may: skips output from now on instead. */
  skipping = false
  readonly options: AttachOptions
  readonly #main: MainProcess

  constructor(main: MainProcess, options: AttachOptions) {
    this.#main = main
    this.options = options
    this.size = options.size
  }

  /** The next output; undefined when there is none yet or ever (`MainProcess.outputEnded` tells which). */
  read(): Buffer | undefined {
    return this.#main.readFor(this)
  }

  /** Input from the terminal; without ownership it is dropped. Settles when more is welcome. */
  write(input: Buffer): Promise<void> {
    return this.#main.writeFor(this, input)
  }

  resize(size: TerminalSize): void {
    this.size = size
    this.#main.resizeFor(this)
  }

  signal(name: NodeJS.Signals): void {
    this.#main.signalFor(this, name)
  }

  get owner(): boolean {
    return this.#main.owner === this
  }

  detach(): void {
    this.#main.detach(this)
  }
}

export class MainProcess {
  readonly exited: Promise<Exit>
  /** Settles after the exit, when no terminal is attached any more. */
  readonly drained: Promise<void>
  readonly child: RunningChild
  readonly tty: boolean
  exit: Exit | undefined
  /** All output is in the ring; attachments that reach its end are done. */
  outputEnded = false
  owner: Attachment | undefined
  readonly #ring = new OutputRing(limits.mainOutputBytes)
  readonly #attachments = new Set<Attachment>()
  #stall: NodeJS.Timeout | undefined
  #exiting = false
  #resolveDrained: () => void = () => undefined

  static async start(launcher: Launcher, spec: MainProcessSpec): Promise<MainProcess> {
    const child = await launcher.launch({
      argv: spec.command,
      ...(spec.tty ? { terminal: { ...defaultSize, term: "xterm-256color" } } : {}),
    })
    return new MainProcess(child, spec.tty)
  }

  private constructor(child: RunningChild, tty: boolean) {
    this.tty = tty
    this.child = child
    this.drained = new Promise((resolve) => {
      this.#resolveDrained = resolve
    })
    const { stdout, stderr } = this.child
    const sources = stderr === undefined ? [stdout] : [stdout, stderr]
    let open = sources.length
    for (const source of sources) {
      source.on("data", (chunk: Buffer) => this.#onOutput(chunk))
      source.once("close", () => {
        open -= 1
      })
    }
    this.exited = this.child.exited.then(async (exit) => {
      this.#exiting = true
      this.#unstall()
      // Background processes may keep the output open for ever; the main process is over nevertheless.
      const deadline = performance.now() + limits.mainDrainMs
      while (open > 0 && performance.now() < deadline) await sleep(limits.groupPollMs)
      this.outputEnded = true
      this.exit = exit
      this.child.release()
      for (const attachment of [...this.#attachments]) attachment.options.onOutput()
      this.#checkDrained()
      return exit
    })
  }

  /** Undefined when there are as many attachments as there may be. */
  attach(options: AttachOptions): Attachment | undefined {
    if (this.#attachments.size >= limits.mainAttachments) return undefined
    const attachment = new Attachment(this, options)
    attachment.cursor = this.#ring.start
    this.#attachments.add(attachment)
    if (!options.readOnly && this.owner === undefined) {
      this.owner = attachment
      this.resizeFor(attachment)
      this.#redraw()
    }
    return attachment
  }

  detach(attachment: Attachment): void {
    this.#attachments.delete(attachment)
    if (this.owner === attachment) {
      this.owner = [...this.#attachments].find((other) => !other.options.readOnly)
      if (this.owner !== undefined) {
        this.resizeFor(this.owner)
        this.owner.options.onPromoted()
      }
    }
    this.#checkStall()
    this.#checkDrained()
  }

  readFor(attachment: Attachment): Buffer | undefined {
    const { from, bytes } = this.#ring.read(attachment.cursor, limits.mainReadBytes)
    attachment.cursor = from + bytes.length
    if (attachment.cursor === this.#ring.end) attachment.skipping = false
    this.#checkStall()
    return bytes.length === 0 ? undefined : bytes
  }

  writeFor(attachment: Attachment, input: Buffer): Promise<void> {
    const { stdin } = this.child
    if (this.owner !== attachment || input.length === 0 || stdin.destroyed) return Promise.resolve()
    return new Promise((resolve) => void stdin.write(input, () => resolve()))
  }

  resizeFor(attachment: Attachment): void {
    if (this.owner === attachment && attachment.size !== undefined) this.child.resize(attachment.size)
  }

  signalFor(attachment: Attachment, name: NodeJS.Signals): void {
    if (this.owner === attachment && this.exit === undefined) this.child.signal(name)
  }

  #checkDrained(): void {
    if (this.exit !== undefined && this.#attachments.size === 0) this.#resolveDrained()
  }

  /** A full-screen program paints itself anew for a terminal that has just taken over. */
  #redraw(): void {
    if (!this.tty || this.exit !== undefined) return
    const group = foregroundGroup(this.child.pid)
    if (group !== undefined) signalGroup(group, "SIGWINCH")
  }

  #onOutput(chunk: Buffer): void {
    this.#ring.append(chunk)
    for (const attachment of this.#attachments) attachment.options.onOutput()
    this.#checkStall()
  }

  /** The typing terminal may hold the process back for a while, so that a slow link does not lose output. */
  #checkStall(): void {
    const { owner } = this
    const behind =
      owner !== undefined && !owner.skipping && this.#ring.end - owner.cursor > this.#ring.capacity / 2
    if (!behind) {
      this.#unstall()
    } else if (this.#stall === undefined && !this.#exiting) {
      for (const source of [this.child.stdout, this.child.stderr]) source?.pause()
      this.#stall = setTimeout(() => {
        owner.skipping = true
        this.#unstall()
      }, limits.mainStallMs)
    }
  }

  #unstall(): void {
    if (this.#stall === undefined) return
    clearTimeout(this.#stall)
    this.#stall = undefined
    for (const source of [this.child.stdout, this.child.stderr]) source?.resume()
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref())
