/**
 * The resumable streams of this process. Gateways ask for relays that are carriers of one; whichever connection
 * they come on, they meet here.
 */
import type { Duplex } from "node:stream"
import { limits } from "../../domain/Limits.ts"
import type { RelayOpen } from "../../domain/Session.ts"
import { admittedBinding, isAdmitted, notAdmittedText } from "../../stream/Admission.ts"
import { type IncomingStream, StreamServer } from "../../stream/StreamServer.ts"
import { RelayDuplex } from "../../wire/RelayDuplex.ts"
import type { RelayLeg } from "../../wire/RelayLeg.ts"
import { revokedText } from "../../wire/StreamMetadata.ts"
import { dialLoopback, loopbackTarget } from "../Loopback.ts"
import type { Launcher } from "../process/Launcher.ts"
import type { SshServer } from "../ssh/SshServer.ts"
import { serveExec } from "./ExecStream.ts"
import { joinTcp } from "./TcpStream.ts"

export interface StreamsOptions {
  readonly ssh: SshServer
  readonly launcher: Launcher
}

/** A carrier that was given to the streams. */
export interface Carried {
  /** Why it ended, for a log line; never rejects. */
  readonly closed: Promise<Record<string, string | number>>
  readonly abort: (reason: string) => void
  /** Asks the client to take its stream to another carrier. */
  readonly move: () => void
}

/** A relay that was admitted as a carrier. */
export interface Admitted {
  readonly carry: (leg: RelayLeg) => Carried
}

const targetText = ({ target }: RelayOpen): string =>
  target.kind === "tcp" ? `${target.host}:${target.port}` : ""

export class Streams {
  readonly #options: StreamsOptions
  readonly #server: StreamServer
  readonly #carriers = new Set<Duplex>()

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#server = new StreamServer({ onStream: (incoming) => this.#begin(incoming) })
  }

  /** Streams that have not ended, those without a carrier included. */
  get size(): number {
    return this.#server.size
  }

  /** Takes a relay as a carrier, or says why not. Its target is dialled when a stream begins on it. */
  admit(request: RelayOpen): Admitted | string {
    const { stream: { kind, key } = { kind: "", key: "" }, binding = "" } = request.fence ?? {}
    const isTcp = request.target.kind === "tcp"
    if (kind !== "tcp" && kind !== "ssh" && kind !== "exec")
      return `streams of kind '${kind}' are not served here`
    if (isTcp !== (kind === "tcp")) return `a stream of kind '${kind}' has another target`
    const bound = admittedBinding(kind, targetText(request), binding)
    return { carry: (leg) => this.#carry(leg, bound, Buffer.from(key, "hex")) }
  }

  /** Resets every stream and takes no more; settles when the peers know, or after a moment. */
  async close(text: string): Promise<void> {
    this.#server.close(text)
    const gone = [...this.#carriers].map(
      (carrier) => new Promise((resolve) => carrier.once("close", resolve)),
    )
    const timer = Promise.withResolvers<void>()
    const cancel = setTimeout(timer.resolve, limits.resumeLingerMs)
    await Promise.race([Promise.all(gone), timer.promise])
    clearTimeout(cancel)
  }

  #carry(leg: RelayLeg, binding: string, key: Buffer): Carried {
    // Before the relay itself hears of it and is gone.
    void leg.early?.then((why) => {
      if (why === revokedText) abort("revoked", "the gateway revoked the stream")
    })
    const duplex = new RelayDuplex(leg)
    let reason = ""
    duplex.on("error", (error) => {
      reason = error.message
    })
    this.#carriers.add(duplex)
    const closed = new Promise<Record<string, string | number>>((resolve) => {
      duplex.once("close", () => {
        this.#carriers.delete(duplex)
        resolve(reason === "" ? {} : { reason })
      })
    })
    const { move, abort } = this.#server.accept(duplex, binding, key)
    return { closed, move, abort: (why) => void duplex.destroy(new Error(why)) }
  }

  #begin(incoming: IncomingStream): void {
    if (!isAdmitted(incoming)) {
      incoming.refuse("denied", notAdmittedText)
      return
    }
    switch (incoming.kind) {
      case "ssh":
        this.#options.ssh.inject(incoming.accept())
        return
      case "exec":
        void serveExec(incoming.accept(), this.#options.launcher)
        return
      case "tcp":
        void dial(incoming)
        return
      default:
        incoming.refuse("kind", `streams of kind '${incoming.kind}' are not served here`)
    }
  }
}

const dial = async (incoming: IncomingStream): Promise<void> => {
  const at = incoming.target.lastIndexOf(":")
  const wanted = loopbackTarget(incoming.target.slice(0, at), Number(incoming.target.slice(at + 1)))
  const socket = typeof wanted === "string" ? wanted : await dialLoopback(wanted)
  if (typeof socket === "string") incoming.refuse("target", socket)
  else joinTcp(incoming.accept(), socket)
}
