import { Effect, Option } from "effect"
import { describe, expect, it } from "vitest"
import { Changes } from "../../src/store/Changes.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { Services } from "../../src/store/Services.ts"
import { aSandbox, dialects, storeKit } from "../kit/Stores.ts"

describe.each(dialects)("services on %s", (dialect) => {
  const kit = storeKit(dialect)
  const all = { workspace: Option.none(), sandbox: Option.none(), limit: 10, offset: 0 }

  it("are exposed, given another port, found by name, listed and removed", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const services = yield* Services
        const { id, workspace, name: sandbox } = yield* sandboxes.insert(aSandbox())
        yield* services.expose({ sandboxId: id, serviceName: "", targetPort: 80 })
        yield* services.expose({ sandboxId: id, serviceName: "api", targetPort: 81 })
        yield* services.expose({ sandboxId: id, serviceName: "", targetPort: 82 })
        const unnamed = Option.getOrThrow(yield* services.find({ workspace, sandbox, service: "" }))
        expect(unnamed).toMatchObject({
          sandboxId: id,
          sandboxName: sandbox,
          targetPort: 82,
          resourceVersion: 2,
        })
        expect(yield* services.find({ workspace: "other", sandbox, service: "" })).toEqual(Option.none())
        expect((yield* services.list(all)).map(({ serviceName }) => serviceName).sort()).toEqual(["", "api"])
        expect(yield* services.list({ ...all, sandbox: Option.some("nobody") })).toEqual([])
        expect(yield* services.list({ ...all, workspace: Option.some(workspace), offset: 2 })).toEqual([])
        expect(yield* services.remove(unnamed)).toBe(true)
        expect(yield* services.remove(unnamed)).toBe(false)
      }),
    ))

  it("go with their sandbox, and need one", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const services = yield* Services
        const { id } = yield* sandboxes.insert(aSandbox())
        yield* services.expose({ sandboxId: id, serviceName: "", targetPort: 80 })
        yield* sandboxes.remove(id)
        expect(yield* services.list(all)).toEqual([])
        const error = yield* Effect.flip(services.expose({ sandboxId: id, serviceName: "", targetPort: 80 }))
        expect(error).toMatchObject({ _tag: "NotFound", message: "sandbox not found" })
      }),
    ))

  it("tell every replica what changed", () =>
    kit.run(
      Effect.scoped(
        Effect.gen(function* () {
          const sandboxes = yield* Sandboxes
          const services = yield* Services
          const { id } = yield* sandboxes.insert(aSandbox())
          const changes = yield* (yield* Changes).subscribe(id)
          yield* services.expose({ sandboxId: id, serviceName: "", targetPort: 80 })
          // The notification of the sandbox itself may come first.
          const told = changes.take.pipe(
            Effect.repeat({ until: (seen) => seen.some(({ kind }) => kind === "service") }),
            Effect.timeout("10 seconds"),
          )
          expect((yield* told).some(({ kind }) => kind === "service")).toBe(true)
        }),
      ),
    ))
})
