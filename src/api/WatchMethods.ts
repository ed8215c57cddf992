/** `WatchSandbox`: a snapshot, the tails, then whatever any replica writes. An idle watcher costs nothing. */
import { Effect, Option } from "effect"
import { LimitReached } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { WatchEvent, WatchQuery } from "../domain/SandboxRequests.ts"
import { Changes } from "../store/Changes.ts"
import { Events } from "../store/Events.ts"
import { Logs } from "../store/Logs.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { openShellAccess as access } from "./Access.ts"
import { draftUpdates } from "./DraftUpdates.ts"
import { sandboxById } from "./Lookup.ts"
import { type Exchange, receive, send, streaming } from "./Operation.ts"

/** A watcher reads from what is kept of a sandbox; one so slow that some of that is gone is told how much. */
const keepsUp = (dropped: number): Effect.Effect<void, LimitReached> =>
  dropped === 0
    ? Effect.void
    : Effect.fail(new LimitReached({ message: `watch stream lagged; dropped ${dropped} messages` }))

const watchSandbox = streaming(access.watchSandbox, (exchange: Exchange<WatchQuery, WatchEvent>, caller) =>
  Effect.gen(function* () {
    const request = yield* receive(exchange)
    const id = request?.sandboxId ?? ""
    const changes = yield* Changes
    // Subscribe before reading, so that nothing falls between the snapshot and the first change.
    const subscription = yield* changes.subscribe(id)
    const sandbox = yield* sandboxById(caller, id, "id is required")
    if (request === undefined) return
    const sandboxes = yield* Sandboxes
    const logs = yield* Logs
    const events = yield* Events

    let seenVersion = -1
    /** Sends the row if it changed; true once the stream is over. */
    const show = (row: Sandbox) =>
      Effect.gen(function* () {
        if (row.resourceVersion !== seenVersion) {
          seenVersion = row.resourceVersion
          yield* send(exchange, { _tag: "Status", sandbox: row })
        }
        return request.stopOnTerminal && row.status.phase === "Ready"
      })
    const sendStatus = Effect.flatMap(
      sandboxes.get(id),
      Option.match({ onNone: () => Effect.succeed(true), onSome: show }),
    )

    const filter = {
      sinceMs: request.logSinceMs,
      sources: request.logSources,
      minLevel: request.logMinLevel,
    }
    let logCursor = 0
    const sendLogs = Effect.gen(function* () {
      while (true) {
        const page = yield* logs.after(id, logCursor, { ...filter, sinceMs: 0 }, limits.watchQueue)
        logCursor = page.cursor
        yield* keepsUp(page.dropped)
        for (const line of page.lines) yield* send(exchange, { _tag: "Log", line })
        if (page.lines.length < limits.watchQueue) return
      }
    })
    let eventCursor = 0
    const sendEvents = Effect.gen(function* () {
      const page = yield* events.after(id, eventCursor)
      eventCursor = page.cursor
      yield* keepsUp(page.dropped)
      for (const event of page.events) yield* send(exchange, { _tag: "Event", event })
    })

    const drafts = request.followEvents ? yield* draftUpdates(id) : Effect.succeedNone

    exchange.call.sendHeaders()
    // The snapshot is the first event, whatever is followed.
    if (yield* show(sandbox)) return
    if (request.followLogs) {
      const lines = request.logTailLines === 0 ? limits.logTailDefault : request.logTailLines
      const tail = yield* logs.tail(id, { ...filter, lines })
      logCursor = tail.cursor
      for (const line of tail.lines) yield* send(exchange, { _tag: "Log", line })
    }
    if (request.followEvents) {
      const tail = yield* events.tail(id, request.eventTail)
      eventCursor = tail.cursor
      for (const event of tail.events) yield* send(exchange, { _tag: "Event", event })
    }
    if (!request.followStatus && !request.followLogs && !request.followEvents) return

    while (true) {
      const batch = yield* subscription.take
      const kinds = new Set(batch.map((change) => change.kind))
      const resync = kinds.has("resync")
      if (request.followLogs && (resync || kinds.has("log"))) yield* sendLogs
      if (request.followEvents && (resync || kinds.has("event"))) yield* sendEvents
      if (kinds.has("removed")) return
      if (resync || kinds.has("draft") || kinds.has("config")) {
        const update = yield* drafts
        if (Option.isSome(update)) yield* send(exchange, { _tag: "Drafts", ...update.value })
      }
      if (request.followStatus && (resync || kinds.has("sandbox")) && (yield* sendStatus)) return
    }
  }).pipe(Effect.scoped),
)

export const watchOperations = { watch: watchSandbox }
