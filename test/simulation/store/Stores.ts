/** The store's services over the simulated database, with the conditions of the real statements. */
import { Context, Effect, Option, Redacted } from "effect"
import {
  AlreadyExists,
  type Conflict,
  concurrentModification,
  NotFound,
  type StaleEpoch,
} from "../../../src/domain/Errors.ts"
import type { Fence } from "../../../src/domain/Fence.ts"
import type { Sandbox } from "../../../src/domain/Sandbox.ts"
import { ChangeBus } from "../../../src/store/ChangeBus.ts"
import { Database } from "../../../src/store/Database.ts"
import { Events } from "../../../src/store/Events.ts"
import { Logs } from "../../../src/store/Logs.ts"
import { Presences } from "../../../src/store/Presences.ts"
import { Sandboxes } from "../../../src/store/Sandboxes.ts"
import { SshSessions } from "../../../src/store/SshSessions.ts"
import type { Process } from "../kernel/Process.ts"
import type { SimDatabase } from "./SimDatabase.ts"

const conflict = (version: number) => concurrentModification("sandbox update", version)

const makeSandboxes = (db: SimDatabase, process: Process) => {
  const row = (id: string) => `sandbox:${id}`
  const all = Effect.sync(() => [...db.sandboxes.rows.values()])
  return Sandboxes.of({
    insert: (sandbox: Sandbox) =>
      db.query<Sandbox, AlreadyExists>(process, [row(sandbox.id)], (view) => {
        if (view.get(db.sandboxes, sandbox.id) !== undefined)
          return Effect.fail(new AlreadyExists({ message: "sandbox already exists" }))
        const stored = { ...sandbox, resourceVersion: 1 }
        view.set(db.sandboxes, sandbox.id, stored)
        return Effect.succeed(stored)
      }),
    get: (id) =>
      db.query(process, [], (view) => Effect.succeed(Option.fromNullable(view.get(db.sandboxes, id)))),
    getByName: (_, name) =>
      db.query(process, [], () =>
        Effect.map(all, (rows) => Option.fromNullable(rows.find((one) => one.name === name))),
      ),
    list: () => db.query(process, [], () => all),
    update: (next: Sandbox, fence?: Fence) =>
      db.query<Sandbox, StaleEpoch | NotFound | Conflict>(process, [row(next.id)], (view) => {
        const stored = view.get(db.sandboxes, next.id)
        const stale = view.fenced(fence, `updates ${next.id} to ${next.status.phase}`)
        if (stale !== undefined) return Effect.fail(stale)
        if (stored === undefined) return Effect.fail(new NotFound({ message: "sandbox not found" }))
        if (stored.resourceVersion !== next.resourceVersion)
          return Effect.fail(conflict(stored.resourceVersion))
        const updated = { ...next, resourceVersion: next.resourceVersion + 1 }
        view.set(db.sandboxes, next.id, updated)
        return Effect.succeed(updated)
      }),
    remove: (id, fence) =>
      db.query<void, StaleEpoch | NotFound>(process, [row(id), `presence:${id}`], (view) => {
        const stale = view.fenced(fence, `removes ${id}`)
        if (stale !== undefined) return Effect.fail(stale)
        if (view.get(db.sandboxes, id) === undefined)
          return Effect.fail(new NotFound({ message: "sandbox not found" }))
        view.set(db.sandboxes, id, undefined)
        view.set(db.presences, id, undefined)
        return Effect.void
      }),
  })
}

const makePresences = (db: SimDatabase, process: Process) => {
  const row = (id: string) => `presence:${id}`
  return Presences.of({
    get: (id) =>
      db.query(process, [], (view) => Effect.succeed(Option.fromNullable(view.get(db.presences, id)))),
    withSandbox: (id) =>
      db.query(process, [], (view) =>
        Effect.succeed(
          Option.map(Option.fromNullable(view.get(db.sandboxes, id)), (sandbox) => ({
            sandbox,
            presence: view.get(db.presences, id),
          })),
        ),
      ),
    arriving: (ids) =>
      db.query(process, [], (view) =>
        Effect.succeed(
          new Map(
            ids.flatMap((id) => {
              const sandbox = view.get(db.sandboxes, id)
              if (sandbox === undefined) return []
              const { status, resourceVersion } = sandbox
              return [[id, { status, resourceVersion, previous: view.get(db.presences, id) }] as const]
            }),
          ),
        ),
      ),
    putAll: (sessions) =>
      db.query(
        process,
        sessions.flatMap(({ presence, change }) =>
          change === undefined
            ? [row(presence.sandboxId)]
            : [row(presence.sandboxId), `sandbox:${presence.sandboxId}`],
        ),
        (view) =>
          Effect.succeed(
            new Set(
              sessions.flatMap(({ presence, fence, change }) => {
                const stored = view.get(db.sandboxes, presence.sandboxId)
                if (change !== undefined && stored?.resourceVersion !== change.resourceVersion) return []
                const stale = view.fenced(fence, `attaches ${presence.sessionId} of ${presence.sandboxId}`)
                if (stale !== undefined) return []
                if (change !== undefined && stored !== undefined)
                  view.set(db.sandboxes, presence.sandboxId, {
                    ...stored,
                    status: change.status,
                    resourceVersion: stored.resourceVersion + 1,
                  })
                view.set(db.presences, presence.sandboxId, presence)
                return [presence.sandboxId]
              }),
            ),
          ),
      ),
    put: (presence, fence) =>
      db.query(process, [row(presence.sandboxId)], (view) => {
        const stale = view.fenced(fence, `attaches ${presence.sessionId} of ${presence.sandboxId}`)
        if (stale !== undefined) return Effect.fail(stale)
        view.set(db.presences, presence.sandboxId, presence)
        return Effect.void
      }),
    markLost: (id, sessionId, lostAtMs, fence) =>
      db.query(process, [row(id)], (view) => {
        const stale = view.fenced(fence, `marks ${sessionId} of ${id} lost`)
        if (stale !== undefined) return Effect.fail(stale)
        const stored = view.get(db.presences, id)
        if (stored?.sessionId !== sessionId) return Effect.succeed(false)
        view.set(db.presences, id, { ...stored, lostAtMs: stored.lostAtMs ?? lostAtMs })
        return Effect.succeed(true)
      }),
    remove: (id, fence) =>
      db.query(process, [row(id)], (view) => {
        const stale = view.fenced(fence, `removes the session of ${id}`)
        if (stale !== undefined) return Effect.fail(stale)
        view.set(db.presences, id, undefined)
        return Effect.void
      }),
  })
}

const makeTokens = (db: SimDatabase, process: Process) =>
  SshSessions.of({
    create: (session) =>
      db.query(process, [], (view) => {
        view.set(db.tokens, session.tokenHash, { ...session, revoked: false })
        return Effect.void
      }),
    find: (hash) =>
      db.query(process, [], (view) => Effect.succeed(Option.fromNullable(view.get(db.tokens, hash)))),
    revoke: (hash) =>
      db.query(process, [], (view) => {
        const stored = view.get(db.tokens, hash)
        if (stored !== undefined) view.set(db.tokens, hash, { ...stored, revoked: true })
        return Effect.succeed(Option.fromNullable(stored?.sandboxId))
      }),
    removeForSandbox: (id) =>
      db.query(process, [], (view) => {
        for (const [hash, token] of db.tokens.rows)
          if (token.sandboxId === id) view.set(db.tokens, hash, undefined)
        return Effect.void
      }),
    reap: () => Effect.succeed(0),
  })

const noLogs = Logs.of({
  append: () => Effect.void,
  tail: () => Effect.succeed({ lines: [], cursor: 0, dropped: 0 }),
  after: (_, cursor) => Effect.succeed({ lines: [], cursor, dropped: 0 }),
  removeForSandbox: () => Effect.void,
})

const noEvents = Events.of({
  append: () => Effect.void,
  tail: () => Effect.succeed({ events: [], cursor: 0, dropped: 0 }),
  after: (_, cursor) => Effect.succeed({ events: [], cursor, dropped: 0 }),
  removeForSandbox: () => Effect.void,
})

/** The store as one process sees it. */
export const stores = (db: SimDatabase, process: Process) =>
  Context.make(Sandboxes, makeSandboxes(db, process)).pipe(
    Context.add(Presences, makePresences(db, process)),
    Context.add(SshSessions, makeTokens(db, process)),
    Context.add(Logs, noLogs),
    Context.add(Events, noEvents),
    Context.add(
      Database,
      Database.of({
        dialect: "postgres",
        clusterId: "simulation",
        url: Redacted.make("postgres://simulation"),
        applicationName: process.name,
        ping: Effect.succeed(0),
        transaction: (effect) => db.transaction(process, effect),
        publish: () => Effect.void,
        bus: new ChangeBus(),
      }),
    ),
  )
