/**
 * Requests that share statements: who asks while statements of the same kind are under way is answered by the next
 * one, together with all others who wait for it. A statement is sent after the last of its askers has asked, so each
 * of them sees whatever was committed before, by whichever replica. The more ask at once the less each costs.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Deferred, Effect, FiberId, Option, Runtime } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Turns } from "../domain/Turns.ts"
import { Database } from "./Database.ts"
import { guard } from "./SqlErrors.ts"

/** What identifies a record: the values of its key's columns. */
export type Key = ReadonlyArray<string>

type Answering<A> = Effect.Effect<A, SqlError | ParseError>

export interface SharedStatement<Request, A> {
  /** What the log calls it. */
  readonly operation: string
  readonly keyOf: (request: Request) => Key
  /** Without sharing: in a transaction, which must see what it has written, and on SQLite, where it saves nothing. */
  readonly one: (request: Request) => Answering<Option.Option<A>>
  /** One statement for all; returns those that have an answer. */
  readonly many: (
    requests: ReadonlyArray<Request>,
  ) => Answering<ReadonlyArray<readonly [key: Key, answer: A]>>
  /** Each request is an act of its own: two of one key are never one, nor is one made again after a fault. */
  readonly writes?: boolean
}

/** The answer, if there is one; fails with Unavailable within `databaseCallMs`, or when the database is silent. */
export type Ask<Request, A> = (request: Request) => Effect.Effect<Option.Option<A>, Unavailable>

interface Batch<Request, A> {
  readonly requests: Map<string, Request>
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

export const shared = <Request, A>({
  operation,
  keyOf,
  one,
  many,
  writes = false,
}: SharedStatement<Request, A>): Effect.Effect<Ask<Request, A>, never, Database> =>
  Effect.gen(function* () {
    const alone: Ask<Request, A> = (request) => one(request).pipe(guard(operation))
    const { dialect } = yield* Database
    if (dialect === "sqlite") return alone
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const slots = new Turns(limits.sharedStatements)
    /** Takes further askers until its statement is sent. */
    let open: Batch<Request, A> | undefined
    const close = (batch: Batch<Request, A>): void => {
      if (open === batch) open = undefined
    }

    const answer = (batch: Batch<Request, A>) =>
      endOfTurn.pipe(
        Effect.zipRight(
          slots.take(
            Effect.suspend(() => {
              close(batch)
              return many([...batch.requests.values()])
              // A statement that is given up gives its slot to the next at once.
            }).pipe(Effect.disconnect),
          ),
        ),
        guard(operation),
        Effect.ensuring(Effect.sync(() => close(batch))),
        Effect.map((found) => new Map(found.map(([key, value]) => [idOf(key), value]))),
        Effect.intoDeferred(batch.answers),
      )

    const takes = ({ requests }: Batch<Request, A>, id: string): boolean =>
      requests.size < limits.sharedRequests && !(writes && requests.has(id))

    const join = (id: string, request: Request): Batch<Request, A> => {
      if (open !== undefined && takes(open, id)) {
        open.requests.set(id, request)
        return open
      }
      const batch: Batch<Request, A> = {
        requests: new Map([[id, request]]),
        answers: Deferred.unsafeMake(FiberId.none),
      }
      open = batch
      // The deadline is that of the first asker; in an outage it is shorter for those who joined later.
      runFork(answer(batch))
      return batch
    }

    const together: Ask<Request, A> = (request) =>
      Effect.suspend(() => {
        const id = idOf(keyOf(request))
        return Effect.map(Deferred.await(join(id, request).answers), (found) =>
          Option.fromNullable(found.get(id)),
        )
      })
    // One record that cannot be read is no fault of those who asked for others.
    const isolated: Ask<Request, A> = (request) =>
      writes ? together(request) : Effect.catchAllDefect(together(request), () => alone(request))

    return (request) =>
      isUnstorable(keyOf(request))
        ? Effect.succeedNone
        : Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
            Option.isSome(transaction) ? alone(request) : isolated(request),
          )
  })
