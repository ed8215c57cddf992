/** A client with resumable streams and plain relays; what it sends comes back, or a typed error does. */
import type { Duplex } from "node:stream"
import { connect } from "../../../src/stream/Connect.ts"
import { carrierKey, newIdentity } from "../../../src/stream/Proof.ts"
import type { ResumableDuplex } from "../../../src/stream/ResumableDuplex.ts"
import { RelayDuplex } from "../../../src/wire/RelayDuplex.ts"
import type { Cluster } from "../cluster/Cluster.ts"
import type { Replica } from "../cluster/Replica.ts"
import { Process } from "../kernel/Process.ts"
import { callerLeg, connected } from "../network/SimStream.ts"
import { Violation } from "../Violation.ts"
import { smallSettings } from "./Settings.ts"

export interface Call {
  readonly name: string
  readonly sandboxId: string
  readonly token: string
  readonly kind: "stream" | "plain"
  readonly bytes: number
  readonly seed: number
  readonly via?: Replica
  readonly slow?: boolean
  opened: boolean
  echoed: number
  /** How it ended; undefined while it runs. */
  outcome: string | undefined
  /** Ends it from this side. */
  readonly close: () => void
}

export interface CallOptions {
  readonly name: string
  readonly sandboxId: string
  readonly token: string
  readonly kind: "stream" | "plain"
  /** Bytes to send and get back. */
  readonly bytes: number
  /** Pause between two writes; a call lasts about `bytes / 256` of them. */
  readonly pauseMs: number
  /** It reads slowly. */
  readonly slow?: boolean
  /** Always through this replica. */
  readonly via?: Replica
}

const pieceBytes = 400
/** How long a slow reader leaves what came unread. */
const slowMs = 400

const patternAt = (seed: number, offset: number): number =>
  (offset * 31 + (offset >>> 8) * 17 + seed * 7) & 0xff

export class SimClient {
  readonly process: Process
  readonly calls: Array<Call> = []
  readonly #cluster: Cluster
  #count = 0

  constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster
    this.process = new Process(cluster.kernel, name)
  }

  open(options: CallOptions): Call {
    this.#count += 1
    const seed = this.#count
    const made: { duplex?: Duplex } = {}
    const call: Call = {
      ...options,
      seed,
      opened: false,
      echoed: 0,
      outcome: undefined,
      close: () => made.duplex?.destroy(),
    }
    this.calls.push(call)
    if (options.kind === "stream") {
      const stream = this.#stream(call)
      made.duplex = stream
      stream.opened.then(
        () => {
          call.opened = true
        },
        () => undefined,
      )
      void stream.outcome.then((outcome) => {
        if (outcome._tag === "Reset" && outcome.by !== "local")
          this.#fail(`${call.name} was reset although nobody gave it up: ${outcome.text}`)
        this.#over(call, outcome._tag)
      })
      this.#talk(call, stream, options.pauseMs)
    } else void this.#plain(call, options.pauseMs, made)
    return call
  }

  #stream(call: Call): ResumableDuplex {
    const identity = newIdentity()
    const carrier = { key: carrierKey(identity.id).toString("hex"), kind: "tcp" as const, binding: "user" }
    return connect({
      kind: "tcp",
      target: call.name,
      identity,
      settings: smallSettings,
      clock: this.process.streamClock,
      random: () => this.process.random.next(),
      core: this.#cluster.rules.core,
      openCarrier: (_, signal) => this.#relay(call, signal, carrier),
    })
  }

  async #plain(call: Call, pauseMs: number, made: { duplex?: Duplex }): Promise<void> {
    try {
      const duplex = await this.#relay(call, new AbortController().signal, undefined)
      made.duplex = duplex
      call.opened = true
      let failed = false
      duplex.on("error", () => {
        failed = true
      })
      duplex.once("close", () =>
        this.#over(call, call.echoed === call.bytes && !failed ? "Finished" : "Dropped"),
      )
      this.#talk(call, duplex, pauseMs)
    } catch (error) {
      this.#over(call, `Refused: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  /** A relay through any replica. */
  async #relay(
    call: Call,
    signal: AbortSignal,
    stream: { readonly key: string; readonly kind: "tcp"; readonly binding: string } | undefined,
  ): Promise<Duplex> {
    const replica = call.via ?? this.process.random.pick([...this.#cluster.replicas.values()])
    if (replica === undefined) throw new Error("no replica runs")
    const [near, far] = connected(this.#cluster.network, this.process, replica.process)
    const cancel = () => near.close(8)
    signal.addEventListener("abort", cancel, { once: true })
    this.#cluster.network.pass(this.process, replica.process, () =>
      replica.acceptForward(
        {
          sandboxId: call.sandboxId,
          target: { kind: "tcp", host: "127.0.0.1", port: 7 },
          serviceId: "",
          tokenHash: call.token,
          stream,
        },
        far,
      ),
    )
    try {
      await near.headers
    } catch (error) {
      near.destroy()
      throw error
    }
    return new RelayDuplex(callerLeg(near))
  }

  #talk(call: Call, duplex: Duplex, pauseMs: number): void {
    let sent = 0
    const send = () => {
      if (duplex.destroyed || duplex.writableEnded) return
      const length = Math.min(pieceBytes, call.bytes - sent)
      const piece = Buffer.allocUnsafe(length)
      for (let index = 0; index < length; index += 1) piece[index] = patternAt(call.seed, sent + index)
      sent += length
      const more = duplex.write(piece)
      if (sent >= call.bytes) duplex.end()
      else if (more && pauseMs > 1) this.process.after(pauseMs, send)
      else if (more) send()
      else duplex.once("drain", () => this.process.after(pauseMs, send))
    }
    duplex.on("data", (chunk: Buffer) => {
      if (call.slow) {
        duplex.pause()
        this.process.after(slowMs, () => duplex.resume())
      }
      for (const byte of chunk) {
        if (call.echoed >= call.bytes || byte !== patternAt(call.seed, call.echoed))
          this.#fail(`${call.name} got a wrong byte at ${call.echoed} of ${call.bytes}`)
        call.echoed += 1
      }
    })
    duplex.once("end", () => {
      if (call.echoed !== call.bytes && !duplex.errored)
        this.#fail(`${call.name} ended in order after ${call.echoed} of ${call.bytes} bytes`)
    })
    send()
  }

  /** Told to the kernel: a listener must not throw into a stream. */
  #fail(message: string): void {
    this.#cluster.violate(new Violation("bytes", message))
  }

  #over(call: Call, outcome: string): void {
    call.outcome = outcome
    this.process.say(`${call.name} is over: ${outcome} after ${call.echoed} of ${call.bytes}`)
  }
}
