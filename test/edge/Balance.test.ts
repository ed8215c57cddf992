/** The rule of who moves where, played by replicas that all act at once from the same counts. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { boundsOf, isSettling, type Load, type Movable, plan, skewOf } from "../../src/edge/Balance.ts"

const slack = { lowerPercent: 5, upperPercent: 10 }

interface Held {
  readonly id: string
  readonly ours: boolean
  /** Decides the owner among the replicas that take sessions. */
  readonly hash: number
  fresh: boolean
}

interface Replica {
  readonly id: string
  readonly sessions: Map<string, Held>
  draining: boolean
  settling: boolean
}

/** Replicas that plan at once from what they published after the last round, none knowing what the others do. */
class Cluster {
  readonly replicas = new Map<string, Replica>()
  moves = 0
  /** What each replica published last. */
  #published = new Map<string, Load>()

  add(id: string): void {
    this.replicas.set(id, { id, sessions: new Map(), draining: false, settling: false })
    this.publish()
  }

  publish(): void {
    this.#published = new Map(
      [...this.replicas.values()].map((one) => [
        one.id,
        { id: one.id, sessions: one.sessions.size, draining: one.draining, settling: one.settling },
      ]),
    )
  }

  get takers(): ReadonlyArray<string> {
    return [...this.replicas.values()].flatMap(({ id, draining }) => (draining ? [] : [id])).toSorted()
  }

  /** Rendezvous hashing: few owners change when a replica comes or goes. */
  owner(session: Held): string | undefined {
    const weigh = (id: string) => (Math.imul(session.hash ^ hash(id), 0x9e3779b1) >>> 0) / 2 ** 32
    return this.takers.toSorted((a, b) => weigh(b) - weigh(a))[0]
  }

  round(budget: number): number {
    const views = [...this.#published.values()]
    const asked = [...this.replicas.values()].flatMap((self) => {
      const bounds = boundsOf(views, slack)
      const load = {
        id: self.id,
        sessions: self.sessions.size,
        draining: self.draining,
        settling: self.settling,
      }
      if (bounds !== undefined) self.settling = isSettling(load, bounds)
      const sessions = [...self.sessions.values()].flatMap(
        (one): ReadonlyArray<Movable> =>
          one.ours ? [{ sessionId: one.id, owner: this.owner(one), fresh: one.fresh }] : [],
      )
      const moves = plan({ self: self.id, replicas: views, sessions, budget, slack })
      return moves.map((move) => ({ self, move }))
    })
    for (const { self, move } of asked) {
      const target = this.replicas.get(move.to)
      const session = self.sessions.get(move.sessionId)
      if (session === undefined || target === undefined) throw new Error("moved what is not there")
      expect(session.ours).toBe(true)
      expect(target.draining).toBe(false)
      expect(target).not.toBe(self)
      session.fresh = false
      self.sessions.delete(session.id)
      target.sessions.set(session.id, session)
      this.moves += 1
    }
    this.publish()
    return asked.length
  }

  /** Rounds until three in a row moved nothing. */
  settle(budget: number): number {
    let quiet = 0
    for (let rounds = 0; rounds < 400; rounds++) {
      quiet = this.round(budget) === 0 ? quiet + 1 : 0
      if (quiet === 3) return rounds
    }
    throw new Error("does not settle")
  }

  counts(): ReadonlyArray<number> {
    return this.takers.map((id) => this.replicas.get(id)?.sessions.size ?? 0)
  }

  skew(): number {
    return skewOf(
      [...this.replicas.values()].map(({ sessions, draining }) => ({ sessions: sessions.size, draining })),
    )
  }

  /** Moves without which no placement within the given skew is reached. */
  least(skew: number): number {
    const total = [...this.replicas.values()].reduce((sum, { sessions }) => sum + sessions.size, 0)
    const most = Math.max(
      Math.ceil(total / this.takers.length),
      Math.floor((skew * total) / this.takers.length),
    )
    return [...this.replicas.values()].reduce(
      (sum, { sessions, draining }) => sum + Math.max(0, sessions.size - (draining ? 0 : most)),
      0,
    )
  }
}

const hash = (text: string): number => {
  let value = 2_166_136_261
  for (const letter of text) value = Math.imul(value ^ letter.charCodeAt(0), 16_777_619)
  return value >>> 0
}

const fill = (replica: Replica | undefined, count: number, ours: boolean, fresh: boolean): void => {
  for (let n = 0; n < count; n++) {
    const id = `${replica?.id}-${ours}-${n}`
    replica?.sessions.set(id, { id, ours, fresh, hash: hash(id) })
  }
}

/** Scales to `size` replicas and lets the cluster settle; the moves made and the fewest possible. */
const scaleTo = (cluster: Cluster, size: number, budget: number) => {
  for (let n = 1; n <= size; n++) if (!cluster.replicas.has(`r${n}`)) cluster.add(`r${n}`)
  const leaving = [...cluster.replicas.values()].filter(({ id }) => Number(id.slice(1)) > size)
  for (const replica of leaving) replica.draining = true
  cluster.publish()
  const least = cluster.least(1.1)
  const before = cluster.moves
  cluster.settle(budget)
  for (const replica of leaving) {
    expect(replica.sessions.size).toBe(0)
    cluster.replicas.delete(replica.id)
  }
  cluster.publish()
  return { moved: cluster.moves - before, least }
}

describe("rebalancing", () => {
  it("settles at every scale from 1 to 3 to 5 to 2 to 1 with a skew of 1.1 and a fifth more moves than needed at most", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 30, max: 2_000 }),
        fc.integer({ min: 3, max: 200 }),
        (sessions, budget) => {
          const cluster = new Cluster()
          cluster.add("r1")
          fill(cluster.replicas.get("r1"), sessions, true, false)
          cluster.publish()
          let moved = 0
          let least = 0
          for (const size of [3, 5, 2, 1]) {
            const step = scaleTo(cluster, size, Math.max(budget, Math.ceil(sessions / 50)))
            moved += step.moved
            least += step.least
            const even = Math.ceil(sessions / size)
            expect(Math.max(...cluster.counts())).toBeLessThanOrEqual(
              Math.max(even, Math.floor((1.1 * sessions) / size)),
            )
          }
          expect(moved).toBeLessThanOrEqual(1.2 * least)
        },
      ),
      { numRuns: 20 },
    )
  }, 60_000)

  it("never moves sessions of supervisors that cannot follow, and settles around them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ ours: fc.nat(300), theirs: fc.nat(300), draining: fc.boolean() }), {
          minLength: 2,
          maxLength: 6,
        }),
        (replicas) => {
          const cluster = new Cluster()
          for (const [index, { ours, theirs, draining }] of replicas.entries()) {
            const id = `r${index}`
            cluster.add(id)
            const replica = cluster.replicas.get(id)
            fill(replica, ours, true, false)
            fill(replica, theirs, false, false)
            if (replica !== undefined) replica.draining = draining && index > 0
          }
          cluster.publish()
          cluster.settle(50)
          for (const [index, { theirs }] of replicas.entries()) {
            const held = [...(cluster.replicas.get(`r${index}`)?.sessions.values() ?? [])]
            expect(held.filter(({ ours }) => !ours).length).toBe(theirs)
            if (cluster.replicas.get(`r${index}`)?.draining === true)
              expect(held.every(({ ours }) => !ours)).toBe(true)
          }
        },
      ),
      { numRuns: 20 },
    )
  }, 60_000)

  it("brings sessions that landed by chance to their owners once, and nobody over the bound by it", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { minLength: 2, maxLength: 5 }), (counts) => {
        const cluster = new Cluster()
        for (const [index, count] of counts.entries()) {
          cluster.add(`r${index}`)
          fill(cluster.replicas.get(`r${index}`), count, true, true)
        }
        cluster.publish()
        cluster.settle(20)
        const total = counts.reduce((sum, count) => sum + count, 0)
        expect(cluster.moves).toBeLessThanOrEqual(2 * total)
        const even = Math.ceil(total / counts.length)
        expect(Math.max(...cluster.counts())).toBeLessThanOrEqual(
          Math.max(even, Math.floor((1.1 * total) / counts.length)),
        )
      }),
      { numRuns: 40 },
    )
  }, 60_000)

  it("moves nothing when nobody takes sessions, or when it is not among the members", () => {
    const load = { id: "a", sessions: 9, draining: true, settling: false }
    const sessions = [{ sessionId: "s", owner: "a", fresh: true }]
    expect(plan({ self: "a", replicas: [load], sessions, budget: 9, slack })).toEqual([])
    expect(plan({ self: "b", replicas: [{ ...load, draining: false }], sessions, budget: 9, slack })).toEqual(
      [],
    )
  })

  it("prefers owners that have room", () => {
    const replicas = [
      { id: "a", sessions: 40, draining: false, settling: false },
      { id: "b", sessions: 10, draining: false, settling: false },
      { id: "c", sessions: 10, draining: false, settling: false },
    ]
    const sessions = Array.from({ length: 40 }, (_, n) => ({
      sessionId: `s${n}`,
      owner: n < 20 ? "a" : n < 35 ? "b" : "c",
      fresh: false,
    }))
    const moves = plan({ self: "a", replicas, sessions, budget: 100, slack })
    expect(moves.length).toBe(19)
    const home = moves.filter(
      ({ sessionId, to }) => sessions.find((one) => one.sessionId === sessionId)?.owner === to,
    )
    expect(home.length).toBe(16)
  })
})

describe("the skew", () => {
  it("is the fullest replica over the mean of those that take sessions", () => {
    const replica = (sessions: number, draining = false) => ({ sessions, draining })
    expect(skewOf([])).toBe(0)
    expect(skewOf([replica(0), replica(0)])).toBe(0)
    expect(skewOf([replica(5), replica(5)])).toBe(1)
    expect(skewOf([replica(9), replica(3), replica(70, true)])).toBe(1.5)
  })
})
