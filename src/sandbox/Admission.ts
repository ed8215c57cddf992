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
  /** Admitted as a carrier only: as a plain relay it would be one too many. */
  readonly streamOnly: boolean
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

interface Held {
  readonly slot: Slot
  /** What counts once. An open that may yet turn out a plain relay counts for itself. */
  readonly unit: string
}

const heldBy = (state: Admission): ReadonlyArray<Held> => [
  ...[...state.slots.values()].map((slot) => ({ slot, unit: slot.stream || slot.channelId })),
  ...[...state.pending.values()].flatMap(({ slot, streamOnly }) =>
    slot === undefined ? [] : [{ slot, unit: streamOnly ? slot.stream : slot.channelId }],
  ),
]

const units = (held: ReadonlyArray<Held>): number => new Set(held.map(({ unit }) => unit)).size

/** Why a connection slot may not be taken now, or undefined. */
export const denySlot = (state: Admission, slot: Slot | undefined): "token" | "sandbox" | undefined => {
  if (slot === undefined) return undefined
  const held = heldBy(state)
  const shares = (other: Held) => slot.stream !== "" && other.slot.stream === slot.stream
  const ofToken = held.filter((other) => other.slot.tokenHash === slot.tokenHash)
  if (units(ofToken) >= limits.connectionsPerToken && !ofToken.some(shares)) return "token"
  return units(held) >= limits.connectionsPerSandbox && !held.some(shares) ? "sandbox" : undefined
}

/** Whether a carrier that was not denied would be denied if the supervisor could serve it as a plain relay only. */
export const streamOnly = (state: Admission, slot: Slot | undefined): boolean =>
  slot !== undefined &&
  slot.stream !== "" &&
  ([...state.slots.values()].some(({ stream }) => stream === slot.stream) ||
    denySlot(state, { ...slot, stream: "" }) !== undefined)

/** Whether an open under way was admitted as a carrier only. */
export const onlyAsStream = (state: Admission, channelId: string): boolean =>
  state.pending.get(channelId)?.streamOnly ?? false

/** True when one more relay may be asked of the session now. */
export const mayDispatch = (state: Admission): boolean =>
  [...state.pending.values()].filter((open) => open.dispatched).length < limits.relayPendingPerSandbox

export const begin = (state: Admission, channelId: string, slot: Slot | undefined): Admission => ({
  ...state,
  pending: new Map(state.pending).set(channelId, {
    slot,
    streamOnly: streamOnly(state, slot),
    dispatched: false,
  }),
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

/** Where a relay that opened runs, and whether it carries a stream. */
export interface Opened {
  readonly replica: string
  readonly stream: boolean
}

/** The open ended; `opened` is undefined when it failed. */
export const finish = (state: Admission, channelId: string, opened: Opened | undefined): Admission => {
  const slot = state.pending.get(channelId)?.slot
  const pending = without(state.pending, channelId)
  if (opened === undefined || slot === undefined) return { ...state, pending }
  const held = { ...slot, replica: opened.replica, stream: opened.stream ? slot.stream : "" }
  return { pending, slots: new Map(state.slots).set(channelId, held) }
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
