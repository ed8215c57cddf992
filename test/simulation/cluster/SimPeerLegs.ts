/** Byte legs between replicas over the simulated network, admitted by the real tickets. */
import { constants } from "node:http2"
import { limits } from "../../../src/domain/Limits.ts"
import { droppedText, peerLeg } from "../../../src/edge/PeerLeg.ts"
import type { DialledLeg, PeerLegs } from "../../../src/edge/PeerLegs.ts"
import type { Rendezvous } from "../../../src/edge/Rendezvous.ts"
import type { RelayLeg } from "../../../src/wire/RelayLeg.ts"
import type { Process } from "../kernel/Process.ts"
import type { Network } from "../network/Network.ts"
import { connected } from "../network/SimStream.ts"

export interface Meeting {
  readonly process: Process
  readonly rendezvous: Rendezvous
}

export const simPeerLegs = (
  network: Network,
  { process, rendezvous }: Meeting,
  find: (incarnation: string) => Meeting | undefined,
): PeerLegs["Type"] => ({
  rendezvous,
  dial: (replica, channelId, ticket): DialledLeg => {
    const peer = find(replica)
    if (peer === undefined) {
      const leg = Promise.reject(new Error(droppedText))
      leg.catch(() => undefined)
      return { leg, cancel: () => undefined }
    }
    const [near, far] = connected(network, process, peer.process)
    const leg = new Promise<RelayLeg>((resolve, reject) => {
      const fail = () => reject(new Error(droppedText))
      const cancelTimer = process.after(limits.relayClaimTimeoutMs, () =>
        near.destroy(new Error(droppedText)),
      )
      near.once("close", () => {
        cancelTimer()
        fail()
      })
      // A repeated request: whoever recorded the first one.
      if (network.weather.repeat > 0 && network.kernel.random.chance(network.weather.repeat))
        network.kernel.after(network.delayMs() + 5, () =>
          peer.process.deliver(() => peer.rendezvous.redeem(channelId, ticket)),
        )
      network.pass(process, peer.process, () => {
        const deliver = peer.rendezvous.redeem(channelId, ticket)
        if (typeof deliver === "string") {
          far.close(constants.NGHTTP2_CANCEL)
          return
        }
        network.pass(peer.process, process, () => {
          cancelTimer()
          resolve(peerLeg(near))
        })
        deliver(peerLeg(far))
      })
    })
    leg.catch(() => undefined)
    return { leg, cancel: () => near.destroy() }
  },
})
