/** Known mistakes, each one changed rule, and within how many seeds the checks have to find it. */
import { Effect } from "effect"
import type { Slot } from "../../src/sandbox/Admission.ts"
import { makeCore } from "../../src/stream/core/Core.ts"
import { soundRules as soundStream } from "../../src/stream/core/Rules.ts"
import { type Rules, soundRules, WatchedRendezvous } from "./cluster/Rules.ts"

export interface Bug {
  readonly says: string
  readonly rules: () => Rules
  /** Seeds from 1 on. */
  readonly within: number
}

const bug = (says: string, within: number, change: () => Partial<Rules>): Bug => ({
  says,
  within,
  rules: () => ({ ...soundRules, ...change() }),
})

/** A ticket that stays good after it was used. */
class ForgetfulRendezvous extends WatchedRendezvous {
  readonly #used = new Map<string, ReturnType<WatchedRendezvous["redeem"]>>()
  readonly #again: (channelId: string) => void

  constructor(nowMs: () => number, delivered: (channelId: string) => void) {
    super(nowMs, delivered)
    this.#again = delivered
  }

  override redeem(channelId: string, ticket: string) {
    const used = this.#used.get(ticket)
    if (used !== undefined) {
      this.#again(channelId)
      return used
    }
    const deliver = super.redeem(channelId, ticket)
    if (typeof deliver !== "string") this.#used.set(ticket, deliver)
    return deliver
  }
}

/** The highest epoch per edge and shard, to pass any command off as that of the newest owner. */
const raised = () => {
  const seen = new Map<string, number>()
  return (edge: string, shard: number, epoch: number): number => {
    const highest = Math.max(epoch, seen.get(`${edge} ${shard}`) ?? 0)
    seen.set(`${edge} ${shard}`, highest)
    return highest
  }
}

export const bugs = {
  "locks-for-everyone": bug("a lock that is held is granted again", 100, () => ({
    locks: (table) => {
      table.grants = () => true
    },
  })),
  "store-ignores-epochs": bug("the database takes writes of former owners", 1_000, () => ({
    overlooks: ["proof"],
    storeFences: false,
    ownership: heldIsEnough,
  })),
  "edge-ignores-epochs": bug("an edge obeys former owners", 1_000, () => {
    const highest = raised()
    return {
      overlooks: ["proof"],
      ownership: heldIsEnough,
      edge: (edge, { incarnation }) => {
        const pass = <R extends { readonly fence: { readonly shard: number; readonly epoch: number } }>(
          request: R,
        ): R => {
          const { shard, epoch } = request.fence
          return { ...request, fence: { shard, epoch: highest(incarnation, shard, epoch) } }
        }
        return {
          ...edge,
          open: (request) => edge.open(pass(request)),
          endSession: (request) => edge.endSession(pass(request)),
          slots: (request) => edge.slots(pass(request)),
          cut: (request) => edge.cut(pass(request)),
        }
      },
    }
  }),
  "fence-never-closes": bug("a replica without proof goes on acting", 200, () => ({
    ownership: heldIsEnough,
  })),
  "second-attach-ignored": bug("an actor answers a second attach without a look at it", 200, () => ({
    actor: (actor) => {
      let first: string | undefined
      return {
        ...actor,
        Attach: (claim, options) => {
          first ??= claim.sessionId
          return actor.Attach({ ...claim, sessionId: first }, options)
        },
      }
    },
  })),
  "old-attach-evicts": bug("the latest attach wins, however old its connection", 1_000, () => ({
    actor: (actor) => ({
      ...actor,
      Attach: (claim, options) =>
        actor.Attach({ ...claim, instanceStartedAtMs: 0, connectionEpoch: 0 }, options),
    }),
  })),
  "slot-forgotten": bug("a relay gives its slot back when it opens", 200, () => ({
    actor: (actor) => ({
      ...actor,
      OpenRelay: (request, options) =>
        Effect.zipLeft(
          actor.OpenRelay(request, options),
          Effect.orDie(actor.RelayClosed({ channelId: request.channelId })),
        ),
    }),
  })),
  "slots-of-the-dead": bug("relays that were counted once count for ever", 200, () => {
    const seen = new Map<string, Map<string, Slot>>()
    return {
      edges: (edges) => ({
        ...edges,
        slots: (sandboxId, fence, replicas) =>
          Effect.map(edges.slots(sandboxId, fence, replicas), (open) => {
            const known = seen.get(sandboxId) ?? new Map<string, Slot>()
            for (const slot of open) known.set(slot.channelId, slot)
            seen.set(sandboxId, known)
            return [...known.values()]
          }),
      }),
    }
  }),
  "resume-too-far": bug("a resumed stream leaves out a byte", 200, () => ({
    core: makeCore({ ...soundStream, resumeAt: ({ next, acked }) => Math.max(next, acked) + 1 }),
  })),
  "acknowledged-early": bug("bytes are acknowledged before the application has them", 1_000, () => ({
    core: makeCore({ ...soundStream, acknowledged: (_, received) => received }),
  })),
  "duplicates-delivered": bug("bytes that were sent again are delivered again", 200, () => ({
    core: makeCore({ ...soundStream, duplicateBytes: () => 0 }),
  })),
  "ticket-good-twice": bug("a ticket brings two legs", 200, () => ({
    rendezvous: (nowMs, delivered) => new ForgetfulRendezvous(nowMs, delivered),
  })),
  "grace-never-ends": bug("a sandbox without a session stays Ready", 200, () => ({
    sessionGraceMs: 3_600_000,
  })),
  "demoted-at-once": bug("a lost session demotes its sandbox at once", 100, () => ({ sessionGraceMs: 0 })),
  "loss-unnoticed": bug("an owner does not hear of a lost session", 200, () => ({
    actor: (actor) => ({ ...actor, Detach: () => Effect.void }),
  })),
} satisfies Record<string, Bug>

/** Proof as long as the lock is remembered, however old its last proof. */
function heldIsEnough(ownership: Parameters<Rules["ownership"]>[0]): ReturnType<Rules["ownership"]> {
  return {
    ...ownership,
    fence: (shard) =>
      Effect.flatMap(ownership.held, (held) => {
        const epoch = held.get(shard)
        return epoch === undefined ? ownership.fence(shard) : Effect.succeed({ shard, epoch })
      }),
  }
}

export type BugName = keyof typeof bugs

export const isBug = (name: string): name is BugName => name in bugs
