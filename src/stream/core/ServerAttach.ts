/** The server's side of attaching carriers: the newest hello takes the stream, an older one is turned away. */
import type { RefuseFrame } from "../Frames.ts"
import type { Outcome, RefuseCode } from "../Outcome.ts"
import { newAttached } from "./ClientAttach.ts"
import { conclude, release, reset } from "./Ending.ts"
import type { Rules } from "./Rules.ts"
import { credited, resumed } from "./Sending.ts"
import { andThen, type Command, nothing, type Offer, type Step, type StreamState } from "./State.ts"

/** What a late resume of an ended stream is told. */
export const refusalOf = (outcome: Outcome): RefuseFrame => {
  switch (outcome._tag) {
    case "Finished":
      return { type: "refuse", code: "finished", reset: "cancelled", text: "" }
    case "Reset":
      return { type: "refuse", code: "reset", reset: outcome.code, text: outcome.text }
    case "Lost":
      return { type: "refuse", code: "lost", reset: "cancelled", text: outcome.text }
    case "Refused":
      return { type: "refuse", code: outcome.code, reset: "cancelled", text: outcome.text }
  }
}

const turnAway = (carrier: number, frame: RefuseFrame): ReadonlyArray<Command> => [
  { type: "send", carrier, frame },
  { type: "close", carrier, how: "flush" },
]

const refusal = (code: RefuseCode, text: string): RefuseFrame => ({
  type: "refuse",
  code,
  reset: "cancelled",
  text,
})

/** A carrier whose hello proved that it belongs to this stream. */
export const attach = (
  rules: Rules,
  state: StreamState,
  carrier: number,
  offer: Offer,
  nowMs: number,
): Step => {
  if (state.outcome !== undefined) return [state, turnAway(carrier, refusalOf(state.outcome))]
  if (!rules.admits(offer.attach, state.attach))
    return [state, turnAway(carrier, refusal("stale", "a later carrier is attached"))]
  const restarted = resumed(rules, state.send, offer)
  if (restarted === undefined || offer.next < state.peerWanted) {
    const text = "the peer resumed at offsets it cannot have"
    return andThen([state, turnAway(carrier, refusal("offsets", text))], (at) =>
      reset(at, "protocol", text, nowMs),
    )
  }
  const { send, news } = credited(state.send, restarted)
  const commands: Array<Command> = []
  if (state.current !== undefined) commands.push({ type: "close", carrier: state.current.id, how: "linger" })
  if (state.welcomed) {
    commands.push(
      state.suspendedMs === undefined
        ? { type: "moved" }
        : { type: "resumed", stallMs: nowMs - state.suspendedMs },
    )
  }
  return [
    {
      ...state,
      send,
      attach: offer.attach,
      peerWanted: offer.next,
      current: {
        ...newAttached(carrier, offer.attach, nowMs),
        expect: state.receive.received,
        // While the application decides, the client shall know that its carrier works.
        pongDue: !state.accepted,
      },
      suspendedMs: undefined,
    },
    [...commands, ...news],
  ]
}

/** The application does not take the stream. */
export const refuse = (state: StreamState, code: RefuseCode, text: string, nowMs: number): Step => {
  if (state.outcome !== undefined || state.accepted) return [state, nothing]
  const told: ReadonlyArray<Command> =
    state.current === undefined
      ? nothing
      : [{ type: "send", carrier: state.current.id, frame: refusal(code, text) }]
  return andThen(
    andThen([state, told], (at) => conclude(at, { _tag: "Refused", code, text }, nowMs)),
    release,
  )
}
