import { Effect, Either, Option } from "effect"
import { describe, expect, it } from "vitest"
import type { Sandbox } from "../../src/domain/Sandbox.ts"
import { Database } from "../../src/store/Database.ts"
import { Events } from "../../src/store/Events.ts"
import { Logs } from "../../src/store/Logs.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { SshSessions } from "../../src/store/SshSessions.ts"
import { Workspaces } from "../../src/store/Workspaces.ts"
import { aLine, anEvent, aSandbox, dialects, storeKit } from "../kit/Stores.ts"

const everything = { workspace: Option.none<string>(), selector: [], limit: 1_000, offset: 0 }
const names = (sandboxes: ReadonlyArray<Sandbox>) => sandboxes.map(({ name }) => name)

describe.each(dialects)("sandbox records on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("stores a sandbox with all its fields and returns it unchanged at version 1", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const sandbox = aSandbox({
          labels: { team: "a'b\"c", "example.com/x": "" },
          annotations: { note: "NUL \0 and ü and \u{1F642}" },
          deletionTimestampMs: 1_800_000_000_000,
          spec: {
            logLevel: "debug",
            environment: { A: "1", ZERO: "a\0b" },
            template: {
              image: "i",
              runtimeClassName: "",
              agentSocket: "",
              labels: { l: "1" },
              annotations: {},
              environment: {},
              resources: { limits: { cpu: 1.5, nested: [null, true] } },
            },
            policy: { version: 1, rules: [{ host: "*" }] },
            providers: ["p"],
            gpu: {},
            command: ["sh", "-c", 'echo "$A"'],
            tty: true,
          },
          status: {
            phase: "Error",
            conditions: [
              {
                type: "Ready",
                status: "False",
                reason: "R",
                message: "M",
                lastTransitionTime: "2026-01-01T00:00:00Z",
              },
            ],
            agentPod: "pod",
            currentPolicyVersion: 3,
            mainProcessInstanceId: "m",
            exitCode: 137,
          },
        })
        const stored = yield* sandboxes.insert(sandbox)
        expect(stored).toEqual({ ...sandbox, resourceVersion: 1 })
        expect(yield* sandboxes.get(sandbox.id)).toEqual(Option.some(stored))
        expect(yield* sandboxes.getByName("default", sandbox.name)).toEqual(Option.some(stored))
        expect(yield* sandboxes.getByName("other", sandbox.name)).toEqual(Option.none())
        expect(yield* sandboxes.get("unknown")).toEqual(Option.none())
      }),
    ))

  it("refuses a name that is taken in the workspace, and allows it in another", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        yield* sandboxes.insert(aSandbox({ name: "demo" }))
        const refused = yield* Effect.flip(sandboxes.insert(aSandbox({ name: "demo" })))
        expect(refused).toMatchObject({ _tag: "AlreadyExists", message: "sandbox 'demo' already exists" })
        yield* Effect.flatMap(Workspaces, (workspaces) => workspaces.create("other", {}))
        yield* sandboxes.insert(aSandbox({ name: "demo", workspace: "other" }))
      }),
    ))

  it("lets exactly one of many simultaneous inserts of a name succeed", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const outcomes = yield* Effect.all(
          Array.from({ length: 12 }, () => Effect.either(sandboxes.insert(aSandbox({ name: "race" })))),
          { concurrency: "unbounded" },
        )
        expect(outcomes.filter(Either.isRight)).toHaveLength(1)
        for (const outcome of outcomes)
          if (Either.isLeft(outcome)) expect(outcome.left._tag).toBe("AlreadyExists")
      }),
    ))

  it("raises the version with each update and refuses one that read an older version", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const first = yield* sandboxes.insert(aSandbox())
        const second = yield* sandboxes.update({ ...first, labels: { a: "1" } })
        expect(second.resourceVersion).toBe(2)
        const refused = yield* Effect.flip(sandboxes.update({ ...first, labels: { a: "2" } }))
        expect(refused).toMatchObject({
          _tag: "Conflict",
          message: "sandbox update failed due to concurrent modification (current resource_version: 2)",
        })
        expect(yield* sandboxes.get(first.id)).toEqual(Option.some(second))
        const missing = yield* Effect.flip(sandboxes.update(aSandbox({ resourceVersion: 1 })))
        expect(missing).toMatchObject({ _tag: "NotFound", message: "sandbox not found" })
      }),
    ))

  it("loses no increment when many writers compare and swap", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const { id } = yield* sandboxes.insert(aSandbox({ annotations: { count: "0" } }))
        const increment = Effect.gen(function* () {
          const row = Option.getOrThrow(yield* sandboxes.get(id))
          const count = String(Number(row.annotations.count) + 1)
          yield* sandboxes.update({ ...row, annotations: { count } })
        }).pipe(Effect.retry({ times: 200, while: (error) => error._tag === "Conflict" }))
        yield* Effect.all(
          Array.from({ length: 10 }, () => increment),
          { concurrency: "unbounded" },
        )
        const row = Option.getOrThrow(yield* sandboxes.get(id))
        expect(row.annotations.count).toBe("10")
        expect(row.resourceVersion).toBe(11)
      }),
    ))

  it("never changes what identifies a sandbox", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const row = yield* sandboxes.insert(aSandbox({ name: "kept" }))
        yield* sandboxes.update({ ...row, name: "renamed", workspace: "w", createdAtMs: 1 })
        const now = Option.getOrThrow(yield* sandboxes.get(row.id))
        expect(now).toMatchObject({ name: "kept", workspace: "default", createdAtMs: row.createdAtMs })
      }),
    ))

  it("lists by age, then id, in pages, per workspace and by labels", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const make = (name: string, createdAtMs: number, id: string, labels = {}, workspace = "default") =>
          sandboxes.insert(aSandbox({ name, createdAtMs, id, labels, workspace }))
        yield* make("third", 20, "b", { tier: "1", team: "x" })
        yield* make("first", 10, "z", { tier: "1" })
        yield* make("second", 20, "a", { tier: "2", team: "x" })
        yield* Effect.flatMap(Workspaces, (workspaces) => workspaces.create("w2", {}))
        yield* make("foreign", 5, "c", { tier: "1" }, "w2")
        expect(names(yield* sandboxes.list(everything))).toEqual(["foreign", "first", "second", "third"])
        const own = { ...everything, workspace: Option.some("default") }
        expect(names(yield* sandboxes.list(own))).toEqual(["first", "second", "third"])
        expect(names(yield* sandboxes.list({ ...own, limit: 2 }))).toEqual(["first", "second"])
        expect(names(yield* sandboxes.list({ ...own, limit: 2, offset: 2 }))).toEqual(["third"])
        expect(names(yield* sandboxes.list({ ...own, selector: [["tier", "1"]] }))).toEqual([
          "first",
          "third",
        ])
        expect(
          names(
            yield* sandboxes.list({
              ...own,
              selector: [
                ["tier", "1"],
                ["team", "x"],
              ],
            }),
          ),
        ).toEqual(["third"])
        expect(yield* sandboxes.list({ ...own, selector: [["tier", "' OR 1=1 --"]] })).toEqual([])
      }),
    ))

  it("removes a sandbox with its tokens, logs and events, and only once", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const logs = yield* Logs
        const events = yield* Events
        const tokens = yield* SshSessions
        const { id } = yield* sandboxes.insert(aSandbox())
        yield* logs.append(id, [aLine(id)])
        yield* events.append(id, anEvent())
        yield* tokens.create({ tokenHash: "h", sandboxId: id, createdAtMs: 1, expiresAtMs: 0 })
        yield* sandboxes.remove(id)
        expect(yield* sandboxes.get(id)).toEqual(Option.none())
        expect(yield* tokens.find("h")).toEqual(Option.none())
        const filter = { sinceMs: 0, sources: [], minLevel: "" }
        expect((yield* logs.tail(id, { ...filter, lines: 10 })).lines).toEqual([])
        expect((yield* events.tail(id, 10)).events).toEqual([])
        expect(yield* Effect.flip(sandboxes.remove(id))).toMatchObject({ _tag: "NotFound" })
        // Late lines of a supervisor that does not know yet must not stay behind.
        yield* logs.append(id, [aLine(id)])
        yield* events.append(id, anEvent())
        expect((yield* logs.tail(id, { ...filter, lines: 10 })).lines).toEqual([])
      }),
    ))

  it("undoes all writes of a transaction that fails", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const database = yield* Database
        const row = yield* sandboxes.insert(aSandbox())
        const failed = yield* Effect.flip(
          database.transaction(
            Effect.zipRight(sandboxes.update({ ...row, labels: { a: "1" } }), Effect.fail("no" as const)),
          ),
        )
        expect(failed).toBe("no")
        expect(yield* sandboxes.get(row.id)).toEqual(Option.some(row))
        const done = yield* database.transaction(sandboxes.update({ ...row, labels: { a: "2" } }))
        expect(yield* sandboxes.get(row.id)).toEqual(Option.some(done))
      }),
    ))
})
