/** A supervisor's end of resumable streams for gateway doubles: dials loopback, runs commands by bash. */
import { connect } from "node:net"
import { pipeline } from "node:stream/promises"
import type { StreamSettings } from "../../src/stream/core/State.ts"
import { type IncomingStream, StreamServer } from "../../src/stream/StreamServer.ts"
import type { ServerCall } from "../../src/wire/grpc/GrpcServer.ts"
import type { MessageReader } from "../../src/wire/grpc/MessageReader.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { serverLeg } from "../../src/wire/RelayLeg.ts"
import { serveExecStream } from "./ExecDouble.ts"

export interface FarEndOptions {
  /** Where commands run. */
  readonly home: string
  /** Stands for the SSH server. */
  readonly sshPort?: number
  readonly settings?: Partial<StreamSettings>
}

export class FarEnd {
  readonly server: StreamServer
  /** Kinds and targets of the streams so far, and the calls that carried them, in order. */
  readonly streams: Array<string> = []
  readonly carriers: Array<ServerCall> = []
  readonly keys = new Set<string>()
  /** Streams of which no carrier may be had: answered as a gateway that does not know of streams answers. */
  plain = false

  constructor(options: FarEndOptions) {
    const { settings } = options
    this.server = new StreamServer({
      ...(settings === undefined ? {} : { settings }),
      onStream: (incoming) => this.#begin(incoming, options),
    })
  }

  /** Serves one carrier until it closes. */
  async take(call: ServerCall, incoming: MessageReader, key: Buffer): Promise<void> {
    this.carriers.push(call)
    this.keys.add(key.toString("hex"))
    call.sendHeaders(this.plain ? {} : { "holdfast-stream": "1" })
    const duplex = new RelayDuplex(serverLeg(call, incoming))
    duplex.on("error", () => undefined)
    this.server.accept(duplex, "", key)
    await new Promise((resolve) => duplex.once("close", resolve))
  }

  #begin(incoming: IncomingStream, { home, sshPort = 0 }: FarEndOptions): void {
    const { kind, target } = incoming
    this.streams.push(`${kind} ${target}`)
    if (kind === "exec") {
      void serveExecStream(incoming.accept(), () => ({ home }))
      return
    }
    const port = kind === "ssh" ? sshPort : Number(target.split(":")[1])
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    socket.once("error", () => incoming.refuse("target", "dial failed"))
    socket.once("connect", () => {
      const stream = incoming.accept()
      void pipeline(socket, stream).catch(() => undefined)
      void pipeline(stream, socket).catch(() => undefined)
    })
  }
}
