/** The ends of the simulation, and what must hold of them after every step. */
import { bufferedBytes } from "../../src/stream/core/ReplayBuffer.ts"
import type { StreamSettings, StreamState } from "../../src/stream/core/State.ts"
import type { Outcome } from "../../src/stream/Outcome.ts"
import { other, type Side, sides } from "./SimulatedWire.ts"

/** One end with its application. */
export interface End {
  state: StreamState
  written: number
  ended: boolean
  delivered: number
  consumed: number
  endDelivered: boolean
  sentAll: boolean
  outcome: Outcome | undefined
}

export const newEnd = (state: StreamState): End => ({
  state,
  written: 0,
  ended: false,
  delivered: 0,
  consumed: 0,
  endDelivered: false,
  sentAll: false,
  outcome: undefined,
})

export class Violation extends Error {}

export const demand = (holds: boolean, text: string): void => {
  if (!holds) throw new Violation(text)
}

/** Buffers within their bounds; nothing acknowledged that the other application has not consumed. */
export const checkEnds = (
  ends: { readonly [S in Side]: End },
  settings: Pick<StreamSettings, "replayBytes" | "receiveBytes">,
): void => {
  for (const side of sides) {
    const { state, delivered, consumed } = ends[side]
    const peer = ends[other(side)]
    demand(bufferedBytes(state.send.replay) <= settings.replayBytes, `${side}: replay beyond bound`)
    demand(delivered - consumed <= settings.receiveBytes, `${side}: received beyond credit`)
    const consumedByPeer = peer.consumed + (peer.endDelivered && peer.consumed === peer.delivered ? 1 : 0)
    // A finished end may know more of its peer than acknowledgements said; that has a check of its own.
    if (state.outcome === undefined)
      demand(state.send.acked <= consumedByPeer, `${side}: acknowledged before it was consumed`)
  }
}
