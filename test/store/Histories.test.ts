import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import type { LogLine } from "../../src/domain/Sandbox.ts"
import { Events } from "../../src/store/Events.ts"
import { type LogFilter, Logs } from "../../src/store/Logs.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { aLine, anEvent, aSandbox, dialects, storeKit } from "../kit/Stores.ts"

const all: LogFilter = { sinceMs: 0, sources: [], minLevel: "" }
const messages = (page: { readonly lines: ReadonlyArray<LogLine> }) =>
  page.lines.map(({ message }) => message)

const newSandbox = Effect.gen(function* () {
  const sandboxes = yield* Sandboxes
  return (yield* sandboxes.insert(aSandbox())).id
})

describe.each(dialects)("histories on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("return log lines as they were appended, oldest first, and the last ones when fewer are asked for", () =>
    kit.run(
      Effect.gen(function* () {
        const logs = yield* Logs
        const id = yield* newSandbox
        const other = yield* newSandbox
        const line = aLine(id, {
          message: "one\0two \u{1F642}",
          level: "WARN",
          fields: { k: "v\0" },
          source: "gateway",
        })
        yield* logs.append(id, [line])
        yield* logs.append(other, [aLine(other, { message: "foreign" })])
        yield* logs.append(id, [aLine(id, { message: "b" }), aLine(id, { message: "c" })])
        yield* logs.append(id, [])
        const page = yield* logs.tail(id, { ...all, lines: 10 })
        // Postgres cannot store U+0000 in text.
        expect(page.lines[0]).toEqual({ ...line, message: "one\uFFFDtwo \u{1F642}" })
        expect(messages(page).slice(1)).toEqual(["b", "c"])
        expect(messages(yield* logs.tail(id, { ...all, lines: 2 }))).toEqual(["b", "c"])
        expect(messages(yield* logs.tail(id, { ...all, lines: 0 }))).toEqual([])
        expect(messages(yield* logs.tail("unknown", { ...all, lines: 5 }))).toEqual([])
      }),
    ))

  it("filter log lines by level, source and age", () =>
    kit.run(
      Effect.gen(function* () {
        const logs = yield* Logs
        const id = yield* newSandbox
        const levels = ["ERROR", "WARN", "INFO", "OCSF", "DEBUG", "TRACE"]
        yield* logs.append(
          id,
          levels.map((level, index) =>
            aLine(id, {
              level,
              message: level,
              timestampMs: index,
              source: index % 2 === 0 ? "gateway" : "sandbox",
            }),
          ),
        )
        const tail = (filter: Partial<LogFilter>) =>
          Effect.map(logs.tail(id, { ...all, ...filter, lines: 100 }), messages)
        expect(yield* tail({ minLevel: "INFO" })).toEqual(["ERROR", "WARN", "INFO", "OCSF"])
        expect(yield* tail({ minLevel: "info" })).toEqual(["ERROR", "WARN", "INFO", "OCSF"])
        expect(yield* tail({ minLevel: "OCSF" })).toEqual(["ERROR", "WARN", "INFO", "OCSF"])
        expect(yield* tail({ minLevel: "ERROR" })).toEqual(["ERROR"])
        expect(yield* tail({ minLevel: "DEBUG" })).toEqual(["ERROR", "WARN", "INFO", "OCSF", "DEBUG"])
        expect(yield* tail({ minLevel: "TRACE" })).toEqual(levels)
        expect(yield* tail({ sources: ["gateway"] })).toEqual(["ERROR", "INFO", "DEBUG"])
        expect(yield* tail({ sources: ["gateway", "sandbox"] })).toEqual(levels)
        expect(yield* tail({ sinceMs: 4 })).toEqual(["DEBUG", "TRACE"])
      }),
    ))

  it("let a follower read every line exactly once, also those of many concurrent writers", () =>
    kit.run(
      Effect.gen(function* () {
        const logs = yield* Logs
        const id = yield* newSandbox
        const writer = (name: string) =>
          Effect.forEach(
            Array.from({ length: 15 }, (_, index) => index),
            (index) =>
              logs.append(id, [
                aLine(id, { message: `${name}${index}.a` }),
                aLine(id, { message: `${name}${index}.b` }),
              ]),
            { discard: true },
          )
        const seen: Array<string> = []
        const writing = yield* Effect.fork(
          Effect.all(["w", "x", "y", "z"].map(writer), { concurrency: "unbounded" }),
        )
        let cursor = 0
        for (let round = 0; round < 10_000 && seen.length < 120; round++) {
          const page = yield* logs.after(id, cursor, all, 7)
          expect(page.dropped).toBe(0)
          seen.push(...messages(page))
          cursor = page.cursor
        }
        yield* writing.await
        expect(new Set(seen).size).toBe(120)
        expect(seen).toHaveLength(120)
        expect(messages(yield* logs.tail(id, { ...all, lines: 200 }))).toEqual(seen)
      }),
    ))

  it("move a follower past lines that its filter hides", () =>
    kit.run(
      Effect.gen(function* () {
        const logs = yield* Logs
        const id = yield* newSandbox
        const start = (yield* logs.tail(id, { ...all, lines: 0 })).cursor
        yield* logs.append(
          id,
          Array.from({ length: 30 }, () => aLine(id, { level: "DEBUG" })),
        )
        const page = yield* logs.after(id, start, { ...all, minLevel: "INFO" }, 5)
        expect(page).toEqual({ lines: [], cursor: 30, dropped: 0 })
        yield* logs.append(id, [aLine(id, { message: "visible" })])
        expect(messages(yield* logs.after(id, page.cursor, { ...all, minLevel: "INFO" }, 5))).toEqual([
          "visible",
        ])
      }),
    ))

  it(
    "keep the newest log lines, store few more than those, and tell a slow follower what it missed",
    () =>
      kit.run(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const logs = yield* Logs
          const id = yield* newSandbox
          const total = limits.logLinesPerSandbox + 555
          for (let done = 0; done < total; done += limits.logLinesPerBatch) {
            const count = Math.min(limits.logLinesPerBatch, total - done)
            yield* logs.append(
              id,
              Array.from({ length: count }, (_, index) => aLine(id, { message: String(done + index + 1) })),
            )
          }
          const page = yield* logs.tail(id, { ...all, lines: 1_000_000 })
          expect(page.lines).toHaveLength(limits.logLinesPerSandbox)
          expect(messages(page).at(0)).toBe("556")
          expect(messages(page).at(-1)).toBe(String(total))
          const [stored] = yield* sql<{ readonly count: number }>`SELECT count(*) AS count FROM sandbox_logs`
          expect(stored?.count).toBeLessThanOrEqual(limits.logLinesPerSandbox + limits.logLinesPerBatch)
          const late = yield* logs.after(id, 100, all, 3)
          expect(late).toMatchObject({ dropped: 455, cursor: 558 })
          expect(messages(late)).toEqual(["556", "557", "558"])
          yield* logs.removeForSandbox(id)
          const [left] = yield* sql<{ readonly count: number }>`SELECT count(*) AS count FROM sandbox_logs`
          expect(left?.count).toBe(0)
        }),
      ),
    20_000,
  )

  it("keep the last events of a sandbox and let a follower continue", () =>
    kit.run(
      Effect.gen(function* () {
        const events = yield* Events
        const id = yield* newSandbox
        const first = anEvent({
          metadata: { "openshell.progress.active_step": "pulling_image" },
          reason: "r\0",
        })
        yield* events.append(id, first)
        const page = yield* events.tail(id, 10)
        expect(page).toEqual({ events: [{ ...first, reason: "r\uFFFD" }], cursor: 1, dropped: 0 })
        for (let index = 2; index <= 70; index++)
          yield* events.append(id, anEvent({ message: String(index) }))
        const tail = yield* events.tail(id, 1_000)
        expect(tail.events).toHaveLength(limits.eventsPerSandbox)
        expect(tail.events.at(0)?.message).toBe("21")
        expect(tail.cursor).toBe(70)
        expect((yield* events.tail(id, 2)).events.map(({ message }) => message)).toEqual(["69", "70"])
        expect(yield* events.after(id, 70)).toEqual({ events: [], cursor: 70, dropped: 0 })
        const late = yield* events.after(id, 10)
        expect(late.dropped).toBe(10)
        expect(late.events).toHaveLength(50)
        expect((yield* events.after(id, 68)).events.map(({ message }) => message)).toEqual(["69", "70"])
        yield* events.removeForSandbox(id)
        expect((yield* events.tail(id, 10)).events).toEqual([])
      }),
    ))
})
