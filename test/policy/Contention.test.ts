/** Changes of one sandbox's configuration at the same time: each holds or is refused, and none is lost. */
import { Effect, Either, Layer } from "effect"
import { describe, expect, it } from "vitest"
import type { ConfigUpdate } from "../../src/domain/SandboxConfig.ts"
import { Configuration } from "../../src/policy/Configuration.ts"
import { ProviderContribution } from "../../src/policy/ProviderContribution.ts"
import { reportStatus, revisionStatus } from "../../src/policy/Revisions.ts"
import { updateSandbox } from "../../src/policy/Updates.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { aSandbox, dialects, storeKit } from "../kit/Stores.ts"

const update = (ruleName: string, expectedResourceVersion = 0): ConfigUpdate => ({
  name: "any",
  workspace: "default",
  global: false,
  policy: undefined,
  settingKey: "",
  settingValue: undefined,
  deleteSetting: false,
  mergeOperations: [
    { kind: "addRule", ruleName, rule: { endpoints: [{ host: `${ruleName}.example`, port: 443 }] } },
  ],
  expectedResourceVersion,
  annotations: {},
})

const many = Array.from({ length: 8 }, (_, index) => `rule${index}`)

describe.each(dialects)("changes at the same time on %s", (dialect) => {
  const { run } = storeKit(dialect)
  const services = Layer.provideMerge(Configuration.layer, ProviderContribution.none)
  const stored = Effect.flatMap(Sandboxes, (sandboxes) =>
    sandboxes.insert(aSandbox({ spec: { ...aSandbox().spec, policy: { version: 1 } } })),
  )

  it("are versions one after the other; who meets too many of them is told to look again", () =>
    run(
      Effect.gen(function* () {
        const sandbox = yield* stored
        const outcomes = yield* Effect.forEach(
          many,
          (name) => Effect.either(updateSandbox(sandbox, update(name))),
          {
            concurrency: "unbounded",
          },
        )
        const done = outcomes.filter(Either.isRight)
        expect(new Set(done.map(({ right }) => right.version)).size).toBe(done.length)
        expect(done.length).toBeGreaterThan(0)
        for (const outcome of outcomes.filter(Either.isLeft))
          expect(outcome.left).toMatchObject({
            _tag: "Conflict",
            message: expect.stringMatching(
              /^policy update failed due to concurrent modification \(current resource_version: \d+\)$/,
            ),
          })
        const { revision } = yield* revisionStatus(sandbox, 0)
        expect(revision.version).toBe(1 + done.length)
        expect(Object.keys(revision.policy.networkPolicies ?? {})).toHaveLength(done.length)
      }).pipe(Effect.provide(services)),
    ))

  it("under one resource version are one", () =>
    run(
      Effect.gen(function* () {
        const sandbox = yield* stored
        const outcomes = yield* Effect.forEach(
          many,
          (name) => Effect.either(updateSandbox(sandbox, update(name, sandbox.resourceVersion))),
          { concurrency: "unbounded" },
        )
        expect(outcomes.filter(Either.isRight)).toHaveLength(1)
        expect((yield* revisionStatus(sandbox, 0)).revision.version).toBe(2)
      }).pipe(Effect.provide(services)),
    ))

  it("of the sandbox itself do not lose what its supervisor reports", () =>
    run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const sandbox = yield* stored
        const report = { sandboxId: sandbox.id, version: 1, status: "loaded", loadError: "" } as const
        yield* Effect.all([reportStatus(sandbox, report), updateSandbox(sandbox, update("web"))], {
          concurrency: "unbounded",
        })
        const now = yield* Effect.flatMap(sandboxes.get(sandbox.id), (found) => found)
        expect(now.status.currentPolicyVersion).toBe(1)
        expect((yield* revisionStatus(now, 1)).revision.status).toBe("loaded")
        expect((yield* revisionStatus(now, 0)).revision.version).toBe(2)
      }).pipe(Effect.provide(services)),
    ))
})
