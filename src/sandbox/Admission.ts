/** Admission of relays: exact limits per sandbox and per token, pure. */
import { limits } from "../domain/Limits.ts"

/** A relay that holds a connection slot: which token it used, and which replica carries its supervisor side. */
export interface Slot {
  readonly channelId: string
  readonly tokenHash: string
  readonly replica: string
  /**
   * Key of the stream that it carries; empty for a plain relay. All carriers of a stream hold one slot together:
   * a move has two of them, and a lost one may not be missed yet when the next opens.
   */
  readonly stream: string
}

interface Opening {
  readonly slot: Slot | undefined
  /** The session was asked; until then the caller only waits for one. */
  readonly dispatched: boolean
}

export interface Admission {
  /** Opens under way, by channel id; those with a token hold their slot already. */
  readonly pending: ReadonlyMap<string, Opening>
  readonly slots: ReadonlyMap<string, Slot>
}

export const empty: Admission = { pending: new Map(), slots: new Map() }

export type Denial = "pending" | "token" | "sandbox"

/** Texts of the wire contract 1.3. */
export const denialText: { readonly [D in Denial]: string } = {
  pending: "too many pending relays for this sandbox",
  token: "SSH session connection limit reached",
  sandbox: "sandbox SSH connection limit reached",
}

const heldBy = (state: Admission): ReadonlyArray<Slot> => [
  ...state.slots.values(),
  ...[...state.pending.values()].flatMap(({ slot }) => (slot === undefined ? [] : [slot])),
]

/** How many streams and plain relays these slots are, and that one with them. */
const unitsWith = (held: ReadonlyArray<Slot>, slot: Slot): number =>
  new Set([...held, slot].map(({ stream, channelId }) => stream || channelId)).size

/** Why a connection slot may not be taken now, or undefined. */
export const denySlot = (state: Admission, slot: Slot | undefined): "token" | "sandbox" | undefined => {
  if (slot === undefined) return undefined
  const held = heldBy(state)
  const ofToken = held.filter(({ tokenHash }) => tokenHash === slot.tokenHash)
  if (unitsWith(ofToken, slot) > limits.connectionsPerToken) return "token"
  return unitsWith(held, slot) > limits.connectionsPerSandbox ? "sandbox" : undefined
}

/** True when one more relay may be asked of the session now. */
export const mayDispatch = (state: Admission): boolean =>
  [...state.pending.values()].filter((open) => open.dispatched).length < limits.relayPendingPerSandbox

export const begin = (state: Admission, channelId: string, slot: Slot | undefined): Admission => ({
  ...state,
  pending: new Map(state.pending).set(channelId, { slot, dispatched: false }),
})

export const dispatch = (state: Admission, channelId: string): Admission => {
  const opening = state.pending.get(channelId)
  if (opening === undefined) return state
  return { ...state, pending: new Map(state.pending).set(channelId, { ...opening, dispatched: true }) }
}

const without = <V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> => {
  if (!map.has(key)) return map
  const copy = new Map(map)
  copy.delete(key)
  return copy
}

/** The open ended; `carrier` is the replica that now carries the relay, undefined when it failed. */
export const finish = (state: Admission, channelId: string, carrier: string | undefined): Admission => {
  const slot = state.pending.get(channelId)?.slot
  const pending = without(state.pending, channelId)
  if (carrier === undefined || slot === undefined) return { ...state, pending }
  return { pending, slots: new Map(state.slots).set(channelId, { ...slot, replica: carrier }) }
}

export const release = (state: Admission, channelId: string): Admission => ({
  ...state,
  slots: without(state.slots, channelId),
})

const knows = (state: Admission, channelId: string): boolean =>
  state.slots.has(channelId) || state.pending.has(channelId)

/**
 * What the edges say is open replaces what was remembered when they were asked (`before`). What opened or closed
 * while they answered is known better here.
 */
export const reconcile = (state: Admission, before: Admission, open: ReadonlyArray<Slot>): Admission => {
  const reported = open.filter(
    ({ channelId }) =>
      !state.pending.has(channelId) && (knows(state, channelId) || !knows(before, channelId)),
  )
  const opened = [...state.slots.values()].filter(({ channelId }) => !before.slots.has(channelId))
  return { ...state, slots: new Map([...reported, ...opened].map((slot) => [slot.channelId, slot])) }
}
