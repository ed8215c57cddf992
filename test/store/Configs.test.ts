import { Effect, Option } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import type { PolicyRevision } from "../../src/domain/Policy.ts"
import { globalScope, noHead } from "../../src/store/ConfigRows.ts"
import { Configs } from "../../src/store/Configs.ts"
import { Drafts } from "../../src/store/Drafts.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { aSandbox, dialects, runWith, storeKit } from "../kit/Stores.ts"

const revision = (version: number, changes: Partial<PolicyRevision> = {}): PolicyRevision => ({
  version,
  hash: `hash-${version}`,
  status: "pending",
  loadError: "",
  createdAtMs: version,
  loadedAtMs: 0,
  policy: { version: 1, networkPolicies: { web: { endpoints: [{ host: "a.example", port: version }] } } },
  provenance: { by: "me" },
  ...changes,
})

const stored = Effect.gen(function* () {
  const sandboxes = yield* Sandboxes
  return yield* sandboxes.insert(aSandbox())
})

/** Adds that version to what is stored now. */
const add = (scope: string, added: PolicyRevision) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const { own } = yield* configs.heads(scope)
    const to = { ...own, version: added.version, policy: added.policy, policyHash: added.hash }
    yield* configs.write({ scope, from: own, to, added })
  })

describe.each(dialects)("configuration on %s", (dialect) => {
  const { run } = storeKit(dialect)

  it("is empty where nothing was changed", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        expect(yield* configs.heads("nobody")).toEqual({ own: noHead, global: noHead })
        expect(yield* configs.revisions("nobody")).toEqual({ own: 0, global: 0 })
        expect(yield* configs.policy("nobody", 0)).toEqual(Option.none())
        expect(yield* configs.policies("nobody", 10, 0)).toEqual([])
      }),
    ))

  it("lists policies newest first, and finds one by its version or as the latest", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        for (const version of [1, 2, 3]) yield* add(id, revision(version))
        expect((yield* configs.policies(id, 2, 1)).map(({ version }) => version)).toEqual([2, 1])
        expect(yield* configs.policy(id, 2)).toEqual(Option.some(revision(2)))
        expect(yield* configs.policy(id, 0)).toEqual(Option.some(revision(3)))
        expect((yield* configs.heads(id)).own).toMatchObject({
          revision: 3,
          version: 3,
          policyHash: "hash-3",
        })
      }),
    ))

  it("refuses a change of what has changed since it was read, and keeps nothing of it", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        yield* add(id, revision(1))
        const late = { ...noHead, version: 1, policy: {}, policyHash: "late" }
        const failed = yield* Effect.flip(
          configs.write({
            scope: id,
            from: noHead,
            to: late,
            added: revision(7),
            expectedResourceVersion: 0,
          }),
        )
        expect(failed._tag).toBe("HeadMoved")
        expect((yield* configs.heads(id)).own.policyHash).toBe("hash-1")
        expect(yield* configs.policy(id, 7)).toEqual(Option.none())
      }),
    ))

  it("advances the sandbox's resource version, and aborts on another than expected", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const sandboxes = yield* Sandboxes
        const { id } = yield* stored
        yield* configs.write({ scope: id, from: noHead, to: noHead, expectedResourceVersion: 1 })
        const again = configs.write({
          scope: id,
          from: { ...noHead, revision: 1 },
          to: noHead,
          expectedResourceVersion: 1,
        })
        expect((yield* Effect.flip(again)).message).toBe(
          "config update failed due to concurrent modification (current resource_version: 2)",
        )
        expect(Option.map(yield* sandboxes.get(id), (row) => row.resourceVersion)).toEqual(Option.some(2))
      }),
    ))

  it("supersedes what was before a version that is loaded, and lets a late report change nothing", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        for (const version of [1, 2, 3]) yield* add(id, revision(version))
        const statuses = Effect.map(configs.policies(id, 9, 0), (all) => all.map(({ status }) => status))
        expect(yield* configs.report(id, 1, { status: "failed", loadError: "no\0pe" })).toBe(true)
        expect(yield* configs.report(id, 3, { status: "loaded", loadError: "" })).toBe(true)
        expect(yield* statuses).toEqual(["loaded", "superseded", "failed"])
        expect(yield* configs.report(id, 2, { status: "loaded", loadError: "" })).toBe(true)
        expect(yield* statuses).toEqual(["loaded", "superseded", "failed"])
        expect(yield* configs.report(id, 4, { status: "loaded", loadError: "" })).toBe(false)
      }),
    ))

  it("loses no setting when many write at once, and keeps nothing of a write that came too late", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const sandboxes = yield* Sandboxes
        const ids = ["a", "b"]
        for (const id of ids) yield* sandboxes.insert(aSandbox({ id, name: id }))
        const writers = 6
        const each = 8
        let moved = 0
        /** One more: read, write, and again when somebody else was first. */
        const increment = (id: string, writer: number) =>
          Effect.gen(function* () {
            const { own } = yield* configs.heads(id)
            const key = `w${writer}`
            const known = own.settings[key]
            const value = known?.type === "int" ? known.value + 1 : 1
            const settings = { ...own.settings, [key]: { type: "int" as const, value } }
            return yield* configs.write({
              ...{ scope: id, from: own, to: { ...own, settings } },
              ...{ countSettings: true, expectedResourceVersion: 0 },
            })
          }).pipe(
            Effect.tapErrorTag("HeadMoved", () =>
              Effect.sync(() => {
                moved += 1
              }),
            ),
            Effect.retry({ while: ({ _tag }) => _tag === "HeadMoved" }),
          )
        const counters = yield* Effect.forEach(
          Array.from({ length: writers }, (_, writer) => writer),
          (writer) =>
            Effect.forEach(Array.from({ length: each }), () =>
              increment(writer % 2 === 0 ? "a" : "b", writer),
            ),
          { concurrency: "unbounded" },
        )
        expect(moved).toBeGreaterThan(0)
        // Each write counted once, and was told its own number.
        expect(counters.flat().sort((one, other) => one - other)).toEqual(
          Array.from({ length: writers * each }, (_, at) => at + 1),
        )
        for (const [at, id] of ids.entries()) {
          const { own } = yield* configs.heads(id)
          const mine = Array.from({ length: writers / 2 }, (_, turn) => `w${turn * 2 + at}`)
          expect(own.settings).toEqual(
            Object.fromEntries(mine.map((key) => [key, { type: "int", value: each }])),
          )
          expect(own.revision).toBe((writers / 2) * each)
          const sandbox = Option.getOrThrow(yield* sandboxes.get(id))
          expect(sandbox.resourceVersion).toBe(1 + own.revision)
        }
      }),
    ))

  it("writes a setting at the expected resource version only, and none of a sandbox that is gone", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const sandboxes = yield* Sandboxes
        const { id } = yield* stored
        const settings = { ocsf_json_enabled: { type: "bool" as const, value: true } }
        const write = (expectedResourceVersion: number) =>
          Effect.flatMap(configs.heads(id), ({ own }) =>
            configs.write({
              ...{ scope: id, from: own, to: { ...own, settings } },
              ...{ countSettings: true, expectedResourceVersion },
            }),
          )
        expect(yield* write(1)).toBe(1)
        expect(yield* Effect.flip(write(1))).toMatchObject({
          _tag: "Conflict",
          message: "config update failed due to concurrent modification (current resource_version: 2)",
        })
        expect((yield* configs.heads(id)).own.revision).toBe(1)
        expect((yield* configs.heads(id)).global.settingsRevision).toBe(1)
        expect(yield* write(2)).toBe(2)
        yield* sandboxes.remove(id)
        expect(yield* Effect.flip(write(0))).toMatchObject({ _tag: "NotFound" })
      }),
    ))

  it("counts changes of settings over all scopes", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        const settings = { ocsf_json_enabled: { type: "bool" as const, value: true } }
        const change = { from: noHead, to: { ...noHead, settings }, countSettings: true }
        expect(yield* configs.write({ scope: id, ...change })).toBe(1)
        expect(yield* configs.write({ scope: globalScope, ...change })).toBe(2)
        const { own, global } = yield* configs.heads(id)
        expect([own.settings, global.settings, global.settingsRevision]).toEqual([settings, settings, 2])
      }),
    ))

  it("keeps the first policy and the last ones", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        const last = limits.policyRevisionsKept + 3
        for (const version of [1, 2, 3, last]) yield* add(id, revision(version))
        expect((yield* configs.policies(id, 9, 0)).map(({ version }) => version)).toEqual([last, 3, 1])
      }),
    ))

  it("goes with its sandbox", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const drafts = yield* Drafts
        const sandboxes = yield* Sandboxes
        const { id } = yield* stored
        const events = [{ timestampMs: 1, eventType: "submitted", description: "x", chunkId: "c" }]
        yield* add(id, revision(1))
        const { own } = yield* configs.heads(id)
        yield* configs.write({ scope: id, from: own, to: own, drafts: { put: [], removed: [], events } })
        expect(yield* drafts.history(id)).toEqual(events)
        yield* sandboxes.remove(id)
        expect((yield* configs.heads(id)).own).toEqual(noHead)
        expect(yield* configs.policies(id, 9, 0)).toEqual([])
        expect(yield* drafts.history(id)).toEqual([])
        expect((yield* Effect.flip(configs.write({ scope: id, from: noHead, to: noHead })))._tag).toBe(
          "NotFound",
        )
      }),
    ))

  it("names the scopes that changed since a time", () =>
    run(
      Effect.gen(function* () {
        const configs = yield* Configs
        const { id } = yield* stored
        yield* add(id, revision(1))
        expect(yield* configs.changedSince(0, 10)).toEqual([id])
        expect(yield* configs.changedSince(Date.now() + 60_000, 10)).toEqual([])
      }),
    ))
})

describe("settings on postgres", () => {
  const kit = storeKit("postgres")

  it("are written by two replicas to the same sandboxes without either locking the other out", () => {
    const config = kit.fresh()
    const ids = Array.from({ length: 8 }, (_, at) => `s${at}`)
    const rounds = 10
    const replica = (order: ReadonlyArray<string>) =>
      runWith(
        config,
        Effect.gen(function* () {
          const configs = yield* Configs
          const write = (id: string) =>
            Effect.gen(function* () {
              const { own } = yield* configs.heads(id)
              return yield* configs.write({
                scope: id,
                from: own,
                to: own,
                countSettings: true,
                expectedResourceVersion: 0,
              })
            }).pipe(Effect.retry({ while: ({ _tag }) => _tag === "HeadMoved" }))
          return yield* Effect.forEach(
            order,
            (id) => Effect.forEach(Array.from({ length: rounds }), () => write(id)),
            { concurrency: "unbounded" },
          )
        }),
      )
    const inserted = Effect.flatMap(Sandboxes, (sandboxes) =>
      Effect.forEach(ids, (id) => sandboxes.insert(aSandbox({ id, name: id }))),
    )
    return runWith(config, inserted)
      .then(() => Promise.all([replica(ids), replica(ids.toReversed())]))
      .then((counters) => {
        const all = counters.flat(2).sort((one, other) => one - other)
        expect(all).toEqual(Array.from({ length: 2 * ids.length * rounds }, (_, at) => at + 1))
      })
  })
})
