/** The load generator: does what it is asked over IPC, one thing at a time, and ends with its parent. */
import { Schema } from "effect"
import * as Control from "./Control.ts"
import * as Measure from "./Measure.ts"
import * as Probe from "./Probe.ts"
import { Envelope, type Request } from "./Protocol.ts"

const handle = async (request: Request): Promise<unknown> => {
  switch (request._tag) {
    case "Open":
      return { samplesMs: await Measure.open(request.way, request.count) }
    case "RoundTrip":
      return { samplesMs: await Measure.roundTrip(request.way, request.count) }
    case "Bulk":
      return Measure.bulk(request.way, request.direction, request.streams, request.bytes)
    case "Verify":
      return Measure.verify(request.way, request.bytes)
    case "Exec":
      return { samplesMs: await Probe.execLatency(request.url, request.sandboxId, request.count) }
    case "Reads":
      return Control.reads(request.urls, request.names, request.seconds, request.atOnce)
    case "Writes":
      return Control.writes(request.urls, request.names, request.seconds)
    case "Watch":
      return Control.watch(request.urls, request.ids)
    case "Watched":
      return Control.watched()
    case "Failover":
      return Probe.failover(request)
  }
}

const decode = Schema.decodeUnknownSync(Envelope)

process.on("message", (message) => {
  const { id, request } = decode(message)
  handle(request).then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.message : String(error) }),
  )
})
process.on("disconnect", () => process.exit(0))
