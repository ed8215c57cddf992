/**
 * Reads that share statements: who asks while statements of the same kind are under way is answered by the next one,
 * together with all others who wait for it. A statement is sent after the last of its askers has asked, so each of
 * them sees whatever was committed before, by whichever replica. The more are asked at once the less each costs.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Deferred, Effect, FiberId, Option, Runtime } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Database } from "./Database.ts"
import { guard } from "./SqlErrors.ts"

/** What identifies a record: the values of its key's columns. */
export type Key = ReadonlyArray<string>

type Reading<A> = Effect.Effect<A, SqlError | ParseError>

export interface SharedRead<K extends Key, A> {
  /** What the log calls it. */
  readonly operation: string
  /** Without sharing: in a transaction, which must see what it has written, and on SQLite, where it saves nothing. */
  readonly one: (key: K) => Reading<Option.Option<A>>
  /** Those that exist, by one statement. */
  readonly many: (keys: ReadonlyArray<K>) => Reading<ReadonlyArray<readonly [key: K, found: A]>>
}

/** Found or not; fails with Unavailable within `databaseCallMs`. */
export type Read<K extends Key, A> = (key: K) => Effect.Effect<Option.Option<A>, Unavailable>

interface Batch<K, A> {
  readonly keys: Map<string, K>
  readonly answers: Deferred.Deferred<ReadonlyMap<string, A>, Unavailable>
}

/** Whatever has arrived by now may ask first. */
const endOfTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Distinct for distinct keys, whatever their values hold. */
const idOf = (key: Key): string => JSON.stringify(key)

/** Postgres refuses such text as a parameter, so no record has it: one asker must not spoil the others' statement. */
const isUnstorable = (key: Key): boolean => key.some((value) => value.includes("\0"))

export const shared = <K extends Key, A>({
  operation,
  one,
  many,
}: SharedRead<K, A>): Effect.Effect<Read<K, A>, never, Database> =>
  Effect.gen(function* () {
    const alone: Read<K, A> = (key) => one(key).pipe(guard(operation))
    const { dialect } = yield* Database
    if (dialect === "sqlite") return alone
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const slots = yield* Effect.makeSemaphore(limits.sharedStatements)
    /** Takes further askers until its statement is sent. */
    let open: Batch<K, A> | undefined
    const close = (batch: Batch<K, A>): void => {
      if (open === batch) open = undefined
    }

    const answer = (batch: Batch<K, A>) =>
      endOfTurn.pipe(
        Effect.zipRight(
          slots.withPermits(1)(
            Effect.suspend(() => {
              close(batch)
              return many([...batch.keys.values()])
              // A statement that is given up gives its slot to the next at once.
            }).pipe(Effect.disconnect),
          ),
        ),
        guard(operation),
        Effect.ensuring(Effect.sync(() => close(batch))),
        Effect.map((found) => new Map(found.map(([key, value]) => [idOf(key), value]))),
        Effect.intoDeferred(batch.answers),
      )

    const join = (id: string, key: K): Batch<K, A> => {
      if (open !== undefined && open.keys.size < limits.sharedReads) {
        open.keys.set(id, key)
        return open
      }
      const batch: Batch<K, A> = {
        keys: new Map([[id, key]]),
        answers: Deferred.unsafeMake(FiberId.none),
      }
      open = batch
      // The deadline is that of the first asker; in an outage it is shorter for those who joined later.
      runFork(answer(batch))
      return batch
    }

    const together: Read<K, A> = (key) =>
      Effect.suspend(() => {
        const id = idOf(key)
        return Effect.map(Deferred.await(join(id, key).answers), (found) =>
          Option.fromNullable(found.get(id)),
        )
      }).pipe(
        // One record that cannot be read is no fault of those who asked for others.
        Effect.catchAllDefect(() => alone(key)),
      )

    return (key) =>
      isUnstorable(key)
        ? Effect.succeedNone
        : Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
            Option.isSome(transaction) ? alone(key) : together(key),
          )
  })
