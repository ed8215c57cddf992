import { Effect, Either, Option } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { WorkspaceMembers } from "../../src/store/WorkspaceMembers.ts"
import { Workspaces } from "../../src/store/Workspaces.ts"
import { aSandbox, dialects, storeKit } from "../kit/Stores.ts"

const all = { memberSubject: Option.none<string>(), selector: [], limit: 1_000, offset: 0 }

describe.each(dialects)("workspaces on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("are `default` alone until one is created", () =>
    kit.run(
      Effect.gen(function* () {
        const workspaces = yield* Workspaces
        expect((yield* workspaces.list(all)).map(({ name }) => name)).toEqual(["default"])
        const made = yield* workspaces.create("lab", { team: "a" })
        expect(made).toMatchObject({ name: "lab", labels: { team: "a" }, resourceVersion: 1 })
        expect(yield* workspaces.get("lab")).toEqual(Option.some(made))
        expect(yield* workspaces.get("other")).toEqual(Option.none())
        const refused = yield* Effect.flip(workspaces.create("lab", {}))
        expect(refused).toMatchObject({ _tag: "AlreadyExists", message: "workspace already exists" })
      }),
    ))

  it("are listed by name, in pages, by labels and by membership", () =>
    kit.run(
      Effect.gen(function* () {
        const workspaces = yield* Workspaces
        const members = yield* WorkspaceMembers
        for (const name of ["a", "b", "c"]) yield* workspaces.create(name, { even: String(name === "b") })
        yield* members.add("c", "alice", "user")
        const names = (query: Partial<typeof all>) =>
          Effect.map(workspaces.list({ ...all, ...query }), (list) => list.map(({ name }) => name))
        expect(yield* names({ limit: 2, offset: 1 })).toEqual(["b", "c"])
        expect(yield* workspaces.list({ ...all, selector: [["even", "true"]] })).toMatchObject([
          { name: "b" },
        ])
        expect(yield* names({ memberSubject: Option.some("alice") })).toEqual(["c"])
        expect(yield* names({ memberSubject: Option.some("bob") })).toEqual([])
      }),
    ))

  it("know each member's role, and take nobody twice", () =>
    kit.run(
      Effect.gen(function* () {
        const workspaces = yield* Workspaces
        const members = yield* WorkspaceMembers
        const alice = yield* members.add("default", "alice", "admin")
        const role = (subject: string) =>
          Effect.map(workspaces.getFor("default", subject), (found) => Option.getOrThrow(found).role)
        expect(yield* role("alice")).toEqual(Option.some("admin"))
        expect(yield* role("bob")).toEqual(Option.none())
        const twice = yield* Effect.flip(members.add("default", "alice", "user"))
        expect(twice._tag).toBe("AlreadyExists")
        expect(yield* members.list({ workspace: "default", limit: 10, offset: 0 })).toEqual([alice])
        expect(yield* members.remove("default", "alice")).toBe(true)
        expect(yield* members.remove("default", "alice")).toBe(false)
        const nowhere = yield* Effect.flip(members.add("nowhere", "alice", "user"))
        expect(nowhere).toMatchObject({ _tag: "NotFound", message: "workspace 'nowhere' not found" })
      }),
    ))

  it("take a thousand members and not one more, however many come at once", () =>
    kit.run(
      Effect.gen(function* () {
        const members = yield* WorkspaceMembers
        for (let index = 0; index < limits.workspaceMembers - 2; index += 1)
          yield* members.add("default", `m${index}`, "user")
        const outcomes = yield* Effect.forEach(
          ["w", "x", "y", "z"],
          (subject) => Effect.either(members.add("default", subject, "user")),
          { concurrency: "unbounded" },
        )
        expect(outcomes.filter(Either.isRight)).toHaveLength(2)
        for (const outcome of outcomes)
          if (Either.isLeft(outcome)) expect(outcome.left._tag).toBe("LimitReached")
      }),
    ))

  it("are deleted only when nothing is in them, and `default` never", () =>
    kit.run(
      Effect.gen(function* () {
        const workspaces = yield* Workspaces
        const sandboxes = yield* Sandboxes
        const refusal = (name: string) => Effect.flip(workspaces.terminate(name))
        expect((yield* refusal("default")).message).toBe("the default workspace cannot be deleted")
        expect((yield* refusal("lab")).message).toBe("workspace 'lab' not found")
        yield* workspaces.create("lab", {})
        const { id } = yield* sandboxes.insert(aSandbox({ workspace: "lab" }))
        expect(yield* refusal("lab")).toMatchObject({
          _tag: "FailedPrecondition",
          message: "workspace 'lab' still contains resources: 1 sandbox",
        })
        yield* sandboxes.remove(id)
        expect(yield* workspaces.remove("lab")).toBe(false)
        const closing = yield* workspaces.terminate("lab")
        expect(closing.deletionTimestampMs).toBeGreaterThan(0)
        expect(yield* workspaces.terminate("lab")).toEqual(closing)
        expect(yield* workspaces.terminating(closing.deletionTimestampMs)).toEqual([])
        expect(yield* workspaces.terminating(closing.deletionTimestampMs + 1)).toEqual(["lab"])
        const late = yield* Effect.flip(sandboxes.insert(aSandbox({ workspace: "lab" })))
        expect(late).toMatchObject({
          _tag: "FailedPrecondition",
          message: "workspace 'lab' is being deleted",
        })
        expect(yield* workspaces.remove("lab")).toBe(true)
        const after = yield* Effect.flip(sandboxes.insert(aSandbox({ workspace: "lab" })))
        expect(after).toMatchObject({ _tag: "NotFound", message: "workspace 'lab' not found" })
      }),
    ))

  it("either keep a sandbox that comes while they are deleted, or refuse it", () =>
    kit.run(
      Effect.gen(function* () {
        const workspaces = yield* Workspaces
        const sandboxes = yield* Sandboxes
        for (let round = 0; round < 20; round += 1) {
          const name = `lab-${round}`
          yield* workspaces.create(name, {})
          const [inserted, terminated] = yield* Effect.all(
            [
              Effect.either(sandboxes.insert(aSandbox({ workspace: name }))),
              Effect.either(workspaces.terminate(name)),
            ],
            { concurrency: "unbounded" },
          )
          expect(Either.isRight(inserted)).not.toBe(Either.isRight(terminated))
        }
      }),
    ))
})
