/**
 * Who moves where: pure. Every replica computes the same shares from the same counts and moves only its own
 * sessions, so that replicas which act at once do not fill the same place.
 */

/** What a replica holds, sessions that are on their way to it or away from it counted where they will be. */
export interface Load {
  readonly id: string
  readonly sessions: number
  /** It gives everything away and takes nothing. */
  readonly draining: boolean
  /** It was over the upper bound and has not come down to the lower one yet. */
  readonly settling: boolean
}

/** A session of the replica that plans, which its supervisor can move. */
export interface Movable {
  readonly sessionId: string
  /** The replica that owns its sandbox, where that is known. */
  readonly owner: string | undefined
  /** It came by itself and has never been sent to its owner. */
  readonly fresh: boolean
}

export interface Move {
  readonly sessionId: string
  readonly to: string
  readonly reason: MoveReason
}

export type MoveReason = "drain" | "balance" | "owner"

/** A replica above `upper` gives sessions away until it is at `lower`. Both are whole sessions. */
export interface Bounds {
  readonly lower: number
  readonly upper: number
}

export interface Slack {
  /** Per cent above the mean: where giving away ends, and where it begins. */
  readonly lowerPercent: number
  readonly upperPercent: number
}

/** Undefined when no replica takes sessions. */
export const boundsOf = (replicas: ReadonlyArray<Load>, slack: Slack): Bounds | undefined => {
  const takers = replicas.filter(({ draining }) => !draining).length
  if (takers === 0) return undefined
  const total = replicas.reduce((sum, { sessions }) => sum + sessions, 0)
  // Few sessions do not divide evenly: one above the mean is as good as it gets.
  const even = Math.ceil(total / takers)
  const above = (percent: number) => Math.floor((total * (100 + percent)) / (100 * takers))
  return {
    lower: Math.max(even, above(slack.lowerPercent)),
    upper: Math.max(even, above(slack.upperPercent)),
  }
}

/** What `settling` is next: between the bounds it stays what it was, so that a replica at one bound does not dither. */
export const isSettling = (load: Load, bounds: Bounds): boolean =>
  load.sessions > bounds.upper || (load.settling && load.sessions > bounds.lower)

/** How many sessions a replica has to give away. */
const excessOf = (load: Load, bounds: Bounds): number =>
  load.draining ? load.sessions : isSettling(load, bounds) ? load.sessions - bounds.lower : 0

/** The part of a whole that belongs to the range `from`..`to` of `of` parts; the parts of all ranges make the whole. */
const share = (whole: number, from: number, to: number, of: number): number =>
  Math.floor((whole * to) / of) - Math.floor((whole * from) / of)

interface Room {
  readonly id: string
  readonly sessions: number
  left: number
  taken: number
}

/** The takers with the room that is this replica's to fill. */
const roomsFor = (self: string, replicas: ReadonlyArray<Load>, bounds: Bounds): ReadonlyArray<Room> => {
  const ordered = replicas.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  let before = 0
  let total = 0
  let own = 0
  for (const load of ordered) {
    const excess = excessOf(load, bounds)
    if (load.id === self) {
      before = total
      own = excess
    }
    total += excess
  }
  return ordered
    .filter((load) => !load.draining && load.id !== self && excessOf(load, bounds) === 0)
    .map(({ id, sessions }) => ({
      id,
      sessions,
      left: total === 0 ? 0 : share(Math.max(0, bounds.lower - sessions), before, before + own, total),
      taken: 0,
    }))
}

const emptiest = (rooms: ReadonlyArray<Room>): Room | undefined =>
  rooms.toSorted((a, b) => a.sessions + a.taken - b.sessions - b.taken || (a.id < b.id ? -1 : 1))[0]

/** Takes the excess away: first to owners that have room, then to whoever has the fewest. */
const giveAway = (
  excess: number,
  rooms: ReadonlyArray<Room>,
  sessions: ReadonlyArray<Movable>,
  draining: boolean,
): ReadonlyArray<Move> => {
  const reason = draining ? "drain" : "balance"
  const moves: Array<Move> = []
  const rest: Array<Movable> = []
  const put = (session: Movable, room: Room): void => {
    room.left -= 1
    room.taken += 1
    moves.push({ sessionId: session.sessionId, to: room.id, reason })
  }
  for (const session of sessions) {
    const home = rooms.find(({ id, left }) => id === session.owner && left > 0)
    if (home !== undefined && moves.length < excess) put(session, home)
    else rest.push(session)
  }
  for (const session of rest) {
    if (moves.length >= excess) break
    // A draining replica keeps nothing, even where the others are full.
    const room = emptiest(rooms.filter(({ left }) => left > 0)) ?? (draining ? emptiest(rooms) : undefined)
    if (room === undefined) break
    put(session, room)
  }
  return moves
}

/** Sessions that landed elsewhere by chance go to their owners once, where that puts nobody over the bound. */
const bringHome = (
  self: string,
  replicas: ReadonlyArray<Load>,
  bounds: Bounds,
  sessions: ReadonlyArray<Movable>,
): ReadonlyArray<Move> => {
  const others = Math.max(1, replicas.length - 1)
  const room = new Map(
    replicas
      .filter(({ draining, id }) => !draining && id !== self)
      .map(({ id, sessions: held }) => [id, Math.floor((bounds.lower - held) / others)]),
  )
  return sessions.flatMap(({ sessionId, owner, fresh }): ReadonlyArray<Move> => {
    const left = owner === undefined || !fresh ? 0 : (room.get(owner) ?? 0)
    if (owner === undefined || left <= 0) return []
    room.set(owner, left - 1)
    return [{ sessionId, to: owner, reason: "owner" }]
  })
}

export interface View {
  readonly self: string
  /** All live replicas, this one included. */
  readonly replicas: ReadonlyArray<Load>
  readonly sessions: ReadonlyArray<Movable>
  /** Moves at most. */
  readonly budget: number
  readonly slack: Slack
}

/** The sessions that this replica should ask to move now. */
export const plan = ({ self, replicas, sessions, budget, slack }: View): ReadonlyArray<Move> => {
  const own = replicas.find(({ id }) => id === self)
  const bounds = boundsOf(replicas, slack)
  if (own === undefined || bounds === undefined) return []
  const excess = excessOf(own, bounds)
  if (excess > 0)
    return giveAway(Math.min(excess, budget), roomsFor(self, replicas, bounds), sessions, own.draining)
  if (replicas.some((load) => excessOf(load, bounds) > 0)) return []
  return bringHome(self, replicas, bounds, sessions).slice(0, budget)
}

/** Sessions of the fullest replica over the mean of those that take sessions; 1 is even, 0 without sessions. */
export const skewOf = (replicas: ReadonlyArray<Pick<Load, "sessions" | "draining">>): number => {
  const held = replicas.flatMap(({ sessions, draining }) => (draining ? [] : [sessions]))
  const total = held.reduce((sum, sessions) => sum + sessions, 0)
  return total === 0 ? 0 : (Math.max(...held) * held.length) / total
}
