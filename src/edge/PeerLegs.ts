/** Byte legs between replicas: HTTP/2 streams on the peer port, admitted by the ticket of one relay. */
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2"
import { Context, Effect, Layer } from "effect"
import { Membership } from "../cluster/Membership.ts"
import { PeerDialer } from "../cluster/PeerDialer.ts"
import { PeerListener } from "../cluster/PeerListener.ts"
import { limits } from "../domain/Limits.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { droppedText, peerLeg } from "./PeerLeg.ts"
import { Rendezvous } from "./Rendezvous.ts"

const path = "/holdfast/relay"
const ticketHeader = "x-holdfast-ticket"
const channelHeader = "x-holdfast-channel"

export interface DialledLeg {
  readonly leg: Promise<RelayLeg>
  readonly cancel: () => void
}

const make = Effect.gen(function* () {
  const membership = yield* Membership
  const listener = yield* PeerListener
  const dialer = yield* PeerDialer
  const metrics = yield* Metrics
  const rendezvous = new Rendezvous()

  const accept = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on("error", () => {})
    const refuse = (status: number) => {
      metrics.ticketsRefused.inc()
      stream.respond({ ":status": status }, { endStream: true })
      stream.close(constants.NGHTTP2_NO_ERROR)
    }
    const channelId = headers[channelHeader]
    const ticket = headers[ticketHeader]
    if (headers[":path"] !== path || typeof channelId !== "string" || typeof ticket !== "string")
      return refuse(400)
    const deliver = rendezvous.redeem(channelId, ticket)
    if (typeof deliver === "string") return refuse(deliver === "expired" ? 410 : 404)
    stream.respond({ ":status": 200 })
    stream.pause()
    deliver(peerLeg(stream))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => listener.bytes.on("stream", accept)),
    () => Effect.sync(() => listener.bytes.off("stream", accept)),
  )

  /** Opens the way to the client's replica, which must have issued the ticket. */
  const dial = (replica: string, channelId: string, ticket: string): DialledLeg => {
    const member = membership.find(replica)
    if (member === undefined) {
      const leg = Promise.reject(new Error(droppedText))
      leg.catch(() => {})
      return { leg, cancel: () => {} }
    }
    let stream: ClientHttp2Stream | undefined
    const leg = new Promise<RelayLeg>((resolve, reject) => {
      stream = dialer.bytes(member).request(
        {
          ":method": "POST",
          ":path": path,
          [channelHeader]: channelId,
          [ticketHeader]: ticket,
        },
        { endStream: false },
      )
      const opened = stream
      opened.setTimeout(limits.relayClaimTimeoutMs, () => opened.destroy(new Error(droppedText)))
      opened.on("error", () => reject(new Error(droppedText)))
      opened.once("close", () => reject(new Error(droppedText)))
      opened.once("response", (headers) => {
        opened.setTimeout(0)
        if (headers[":status"] !== 200) {
          opened.destroy()
          reject(new Error(droppedText))
          return
        }
        opened.pause()
        resolve(peerLeg(opened))
      })
    })
    leg.catch(() => {})
    return { leg, cancel: () => stream?.destroy() }
  }

  return { rendezvous, dial } as const
})

export class PeerLegs extends Context.Tag("holdfast/PeerLegs")<
  PeerLegs,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.scoped(PeerLegs, make)
}
