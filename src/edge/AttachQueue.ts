/**
 * Attaches of this replica, many at a time. After the loss of a replica thousands of supervisors arrive at once:
 * their hellos wait here in order and go to their owners together, and one that would wait longer than a supervisor
 * waits is told when to come back, so that no work is done for an answer that nobody reads.
 */
import { Effect, Schedule, Stream } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import type { PublicError } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { Turns } from "../domain/Turns.ts"
import { type Arrival, type ArrivalAnswer, Arrivals, askActor, elsewhere } from "../sandbox/Arrivals.ts"
import { moving, SandboxActors } from "../sandbox/SandboxActors.ts"
import type { AttachReply, AttachRequest } from "../sandbox/SandboxEntity.ts"
import { OwnerHints } from "./OwnerHints.ts"
import { PeerArrivals } from "./PeerArrivals.ts"

/** Too many hellos wait. `delayMs`: when the supervisor should try again. */
export interface Queued {
  readonly _tag: "Queued"
  readonly delayMs: number
}

interface Waiting {
  readonly arrival: Arrival
  readonly deadlineMs: number
  attempts: number
  /** The supervisor has gone, or has its answer. */
  over: boolean
  readonly settle: (answer: Effect.Effect<AttachReply, PublicError>) => void
}

/** Weight of the newest batch in the average: about the last ten count. */
const weight = 0.1

export const makeAttachQueue = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const ownership = yield* Ownership
  const arrivals = yield* Arrivals
  const actors = yield* SandboxActors
  const peers = yield* PeerArrivals
  const hints = yield* OwnerHints
  const scope = yield* Effect.scope
  const asks = new Turns(limits.attachConcurrency)
  const filled = yield* Effect.makeLatch(false)
  /** Of those who take a batch. */
  const turn = yield* Effect.makeSemaphore(1)
  const queue: Array<Waiting> = []
  let waiting = 0
  let takenAtMs = Number.NEGATIVE_INFINITY
  let finishedAtMs = 0
  /** Time from one finished attach to the next while there is a queue. */
  let perAttachMs = 1

  const enqueue = (one: Waiting): void => {
    queue.push(one)
    filled.unsafeOpen()
  }

  const ask = ({ arrival, settle }: Waiting): Effect.Effect<void> =>
    actors
      .ask(arrival.sandboxId, (actor) => actor.Attach(arrival.claim), limits.attachTimeoutMs)
      .pipe(
        Effect.retry({
          schedule: Schedule.exponential(limits.sessionRetryMs).pipe(
            Schedule.jittered,
            Schedule.upTo(limits.attachTimeoutMs),
          ),
          while: (error) => error._tag === "Unavailable",
        }),
        asks.take,
        Effect.exit,
        Effect.map(settle),
      )

  /** The first emitted is what is known. */
  const someoneCameOrLeft = membership.ref.changes.pipe(Stream.drop(1), Stream.runHead)

  /** Looks again when owners may have changed, or the database may be back. */
  const tryAgain = (batch: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.gen(function* () {
      yield* Effect.raceFirst(Effect.sleep(limits.attachElsewhereMs), someoneCameOrLeft)
      const nowMs = yield* monotonicMs
      for (const one of batch) {
        one.attempts += 1
        if (nowMs > one.deadlineMs) one.settle(Effect.fail(moving))
        else enqueue(one)
      }
    })

  const isPatient = (one: Waiting): boolean => one.attempts < limits.attachElsewhere

  /** One by one the cluster finds any owner; for a crowd it is cheaper to wait until the owners are known. */
  const mayWait = (one: Waiting): boolean => isPatient(one) && waiting > limits.attachBatch

  const groups = (batch: ReadonlyArray<Waiting>) =>
    Effect.gen(function* () {
      const byOwner = new Map<string | undefined, Array<Waiting>>()
      for (const one of batch) {
        const { shard } = one.arrival
        const own = yield* Effect.isSuccess(ownership.fence(shard))
        const owner = own ? config.incarnation : hints.ownerOf(shard)
        const known = isPatient(one) ? owner : undefined
        const group = byOwner.get(known)
        if (group === undefined) byOwner.set(known, [one])
        else group.push(one)
      }
      return byOwner
    })

  const attachAt = (owner: string, group: ReadonlyArray<Waiting>) => {
    const claims = group.map(({ arrival }) => arrival)
    return (owner === config.incarnation ? arrivals.attachAll(claims) : peers.attach(owner, claims)).pipe(
      Effect.orElseSucceed((): ReadonlyArray<ArrivalAnswer> => []),
    )
  }

  const attachGroup = (owner: string | undefined, group: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.gen(function* () {
      const answers = owner === undefined ? [] : yield* attachAt(owner, group)
      const again: Array<Waiting> = []
      for (const [at, one] of group.entries()) {
        if (one.over) continue
        const answer = answers[at] ?? (owner !== undefined || mayWait(one) ? elsewhere : askActor)
        if (answer._tag === "AskActor") yield* Effect.forkIn(ask(one), scope)
        else if (answer._tag === "Elsewhere") again.push(one)
        else one.settle(Effect.succeed(answer))
      }
      if (again.length > 0) yield* Effect.forkIn(tryAgain(again), scope)
    })

  /** What waits, at most a batch of it. When the last was taken just now, more are coming: those it waits for. */
  const take = Effect.gen(function* () {
    yield* filled.await
    if (queue.length < limits.attachBatch && (yield* monotonicMs) - takenAtMs < limits.attachGatherMs)
      yield* Effect.sleep(limits.attachGatherMs)
    takenAtMs = yield* monotonicMs
    const batch = queue.splice(0, limits.attachBatch).filter(({ over }) => !over)
    if (queue.length === 0) filled.unsafeClose()
    return batch
  }).pipe(turn.withPermits(1))

  const work = Effect.gen(function* () {
    const batch = yield* take
    if (batch.length === 0) return
    const wasBusy = queue.length > 0
    yield* Effect.forEach(yield* groups(batch), ([owner, group]) => attachGroup(owner, group), {
      concurrency: "unbounded",
      discard: true,
    })
    const nowMs = yield* monotonicMs
    if (wasBusy && finishedAtMs > 0)
      perAttachMs += weight * ((nowMs - finishedAtMs) / batch.length - perAttachMs)
    finishedAtMs = nowMs
  }).pipe(Effect.catchAllCause((cause) => Effect.logWarning("Attaches of a batch were not answered", cause)))

  yield* Effect.replicateEffect(Effect.forkScoped(Effect.forever(work)), limits.attachBatches)

  return {
    /** Asks the owner when the turn comes. An interruption gives it up. */
    attach: (sandboxId: string, claim: AttachRequest): Effect.Effect<AttachReply | Queued, PublicError> =>
      Effect.flatMap(monotonicMs, (nowMs) =>
        Effect.async<AttachReply | Queued, PublicError>((resume) => {
          const expectedMs = waiting * perAttachMs
          if (expectedMs > limits.attachQueueMs || waiting >= limits.attachQueue)
            return resume(Effect.succeed({ _tag: "Queued", delayMs: Math.ceil(expectedMs) }))
          waiting += 1
          const end = (): boolean => {
            if (one.over) return false
            one.over = true
            waiting -= 1
            return true
          }
          const one: Waiting = {
            arrival: { sandboxId, shard: actors.shardOf(sandboxId), claim },
            deadlineMs: nowMs + limits.attachTimeoutMs,
            attempts: 0,
            over: false,
            settle: (answer) => {
              if (end()) resume(answer)
            },
          }
          enqueue(one)
          return Effect.sync(end)
        }),
      ),
  } as const
})
