import { randomUUID } from "node:crypto"
import { Effect, Option } from "effect"
import { describe, expect, it } from "vitest"
import { Attachments } from "../../src/store/Attachments.ts"
import { Changes } from "../../src/store/Changes.ts"
import { transaction } from "../../src/store/Database.ts"
import { InferenceRoutes } from "../../src/store/InferenceRoutes.ts"
import { Providers, type StoredProvider } from "../../src/store/Providers.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { Workspaces } from "../../src/store/Workspaces.ts"
import { aSandbox, dialects, storeKit } from "../kit/Stores.ts"

const aProvider = (changes: Partial<StoredProvider> = {}): StoredProvider => ({
  id: randomUUID(),
  workspace: "default",
  name: "p",
  createdAtMs: 1_700_000_000_000,
  labels: { a: "1" },
  annotations: { note: "NUL \0 and \u{1F642}" },
  resourceVersion: 0,
  type: "openai",
  credentialKeys: ["OPENAI_API_KEY"],
  config: { OPENAI_BASE_URL: "http://127.0.0.1/v1" },
  credentialExpiresAtMs: { OPENAI_API_KEY: 1_800_000_000_000 },
  profileWorkspace: "",
  sealedCredentials: "v1.a.b.c",
  encryptionKey: "a",
  ...changes,
})

const holding = (...providers: ReadonlyArray<string>) =>
  aSandbox({ spec: { ...aSandbox().spec, providers: [...providers] } })

describe.each(dialects)("provider records on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("come back as they were stored, at version 1", () =>
    kit.run(
      Effect.gen(function* () {
        const providers = yield* Providers
        const stored = yield* providers.insert(aProvider())
        expect(stored.resourceVersion).toBe(1)
        expect(yield* providers.getByName("default", "p")).toEqual(Option.some(stored))
        expect(yield* providers.getByName("other", "p")).toEqual(Option.none())
        const all = { workspace: Option.none(), limit: 10, offset: 0 }
        expect(yield* providers.list(all)).toEqual([stored])
        expect(yield* providers.list({ ...all, workspace: Option.some("other") })).toEqual([])
      }),
    ))

  it("refuse a name that is taken, and a workspace that is not there", () =>
    kit.run(
      Effect.gen(function* () {
        const providers = yield* Providers
        yield* providers.insert(aProvider())
        expect(yield* Effect.flip(providers.insert(aProvider()))).toMatchObject({
          _tag: "AlreadyExists",
          message: "provider already exists",
        })
        const lost = yield* Effect.flip(providers.insert(aProvider({ workspace: "nowhere" })))
        expect(lost).toMatchObject({ _tag: "NotFound", message: "workspace 'nowhere' not found" })
      }),
    ))

  it("change by compare-and-swap on their version", () =>
    kit.run(
      Effect.gen(function* () {
        const providers = yield* Providers
        const first = yield* providers.insert(aProvider())
        const second = yield* providers.update({ ...first, config: {}, sealedCredentials: "v1.a.x.y" })
        expect(second).toMatchObject({ resourceVersion: 2, config: {} })
        expect(yield* Effect.flip(providers.update(first))).toMatchObject({
          _tag: "Conflict",
          message: "provider update failed due to concurrent modification (current resource_version: 2)",
        })
        expect(yield* providers.remove("default", "p")).toBe(true)
        expect(yield* providers.remove("default", "p")).toBe(false)
        expect(yield* Effect.flip(providers.update(second))).toMatchObject({ _tag: "NotFound" })
      }),
    ))

  it("are found by their names, in the order of these", () =>
    kit.run(
      Effect.gen(function* () {
        const providers = yield* Providers
        for (const name of ["a", "b", "c"]) yield* providers.insert(aProvider({ id: name, name }))
        const names = (found: ReadonlyArray<StoredProvider>) => found.map(({ name }) => name)
        expect(names(yield* providers.named("default", ["c", "nobody", "a"]))).toEqual(["c", "a"])
        expect(names(yield* transaction(providers.held("default", ["b", "a"])))).toEqual(["b", "a"])
        expect(yield* providers.named("default", [])).toEqual([])
      }),
    ))

  it("know the sandboxes that hold them by exactly that name", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const attachments = yield* Attachments
        const workspaces = yield* Workspaces
        const held = yield* sandboxes.insert(holding("x", "a_b"))
        yield* sandboxes.insert(holding("axb", "a_bc"))
        yield* sandboxes.insert(aSandbox({ annotations: { a_b: "a_b" } }))
        expect((yield* workspaces.get("default"))._tag).toBe("Some")
        expect(yield* attachments.holders("default", "a_b")).toEqual([held])
        expect(yield* attachments.holders("other", "a_b")).toEqual([])
      }),
    ))

  it("tell the holders' watchers of a change", () =>
    kit.run(
      Effect.scoped(
        Effect.gen(function* () {
          const { id } = yield* Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(holding("p")))
          const changes = yield* Effect.flatMap(Changes, (service) => service.subscribe(id))
          yield* Effect.flatMap(Attachments, (attachments) => attachments.announce([id]))
          const seen = yield* changes.take.pipe(Effect.timeout("10 seconds"))
          expect(seen).toContainEqual(expect.objectContaining({ sandboxId: id }))
        }),
      ),
    ))

  it("list what is sealed under other keys, and replace a seal only where it still is what was read", () =>
    kit.run(
      Effect.gen(function* () {
        const providers = yield* Providers
        yield* providers.insert(aProvider({ id: "1", name: "old" }))
        yield* providers.insert(aProvider({ id: "2", name: "new", encryptionKey: "b" }))
        const [found, ...none] = yield* providers.sealedOtherwise("b")
        expect([found?.name, none]).toEqual(["old", []])
        const fresh = { sealedCredentials: "v1.b.b.c", encryptionKey: "b" }
        expect(yield* providers.reseal("1", "v1.something.else", fresh)).toBe(false)
        expect(yield* providers.reseal("1", "v1.a.b.c", fresh)).toBe(true)
        expect(yield* providers.sealedOtherwise("b")).toEqual([])
        const moved = yield* providers.getByName("default", "old")
        expect(Option.getOrThrow(moved)).toMatchObject({ ...fresh, resourceVersion: 1 })
      }),
    ))
})

describe.each(dialects)("inference routes on %s", (dialect) => {
  const kit = storeKit(dialect)
  const route = {
    workspace: "default",
    routeName: "inference.local",
    providerName: "p",
    modelId: "m",
    timeoutSecs: 60,
  }

  it("are one per workspace and name, with a version that grows by each change", () =>
    kit.run(
      Effect.gen(function* () {
        const routes = yield* InferenceRoutes
        const first = yield* routes.put(route)
        expect(first).toMatchObject({ ...route, version: 1 })
        const second = yield* routes.put({ ...route, modelId: "n", timeoutSecs: 0 })
        expect(second).toEqual({ ...first, modelId: "n", timeoutSecs: 0, version: 2 })
        expect(yield* routes.get("default", "inference.local")).toEqual(Option.some(second))
        yield* routes.put({ ...route, routeName: "sandbox-system", providerName: "q" })
        const sandbox = yield* Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox()))
        const all = Option.getOrThrow(yield* routes.ofSandbox(sandbox.id))
        expect(all.map(({ routeName }) => routeName)).toEqual(["inference.local", "sandbox-system"])
        expect(yield* routes.ofSandbox("nobody")).toEqual(Option.none())
        expect(yield* routes.remove("default", "inference.local")).toBe(true)
        expect(yield* routes.remove("default", "inference.local")).toBe(false)
        expect(yield* routes.get("default", "inference.local")).toEqual(Option.none())
        yield* routes.remove("default", "sandbox-system")
        expect(yield* routes.ofSandbox(sandbox.id)).toEqual(Option.some([]))
      }),
    ))

  it("need a workspace that is there", () =>
    kit.run(
      Effect.gen(function* () {
        const routes = yield* InferenceRoutes
        const refused = yield* Effect.flip(routes.put({ ...route, workspace: "nowhere" }))
        expect(refused).toMatchObject({ _tag: "NotFound", message: "workspace 'nowhere' not found" })
      }),
    ))
})
