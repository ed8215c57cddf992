/** Supervisors of a replica hear of a changed configuration: those whom it concerns, and who know the word. */
import { PassThrough } from "node:stream"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import type { GatewayMessage } from "../../src/domain/Session.ts"
import * as ConfigPush from "../../src/edge/ConfigPush.ts"
import { LocalEdge } from "../../src/edge/LocalEdge.ts"
import { Session } from "../../src/edge/Session.ts"
import { globalScope } from "../../src/store/ConfigRows.ts"
import { Configs } from "../../src/store/Configs.ts"
import { Database } from "../../src/store/Database.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import * as Store from "../../src/store/Store.ts"
import { aSandbox, eventually, quiet, storeKit } from "../kit/Stores.ts"
import { edgeServices } from "./EdgeServices.ts"

const { fresh } = storeKit("sqlite")

const capabilities = {
  connectionEpoch: 1,
  instanceStartedAtMs: 0,
  resume: false,
  redirect: false,
  fence: false,
  exec: false,
  configPush: true,
  liveChannelIds: [],
}

const run = <E>(effect: Effect.Effect<void, E, Store.Store | LocalEdge>): Promise<void> =>
  Effect.runPromise(
    effect.pipe(
      Effect.provide(
        ConfigPush.layer.pipe(
          Layer.provideMerge(LocalEdge.layer),
          Layer.provideMerge(Layer.mergeAll(edgeServices, Store.layer(fresh()))),
          Layer.provideMerge(quiet),
        ),
      ),
      Effect.scoped,
    ),
  )

/** A session of that sandbox, and the spreads with which it was told of changes. */
const attached = (sandboxId: string, knows = true) =>
  Effect.map(LocalEdge, (edge) => {
    const told: Array<number> = []
    const session = new Session(
      sandboxId,
      `session-${sandboxId}-${edge.sessions.size}`,
      knows ? capabilities : { ...capabilities, configPush: false },
      { stream: new PassThrough().resume(), sendHeaders: () => {}, finish: () => {} },
      (message: GatewayMessage) => {
        if (message._tag === "ConfigChanged") told.push(message.spreadMs)
        return new Uint8Array()
      },
    )
    session.accept(1, "one", 0)
    edge.addSession(session)
    return told
  })

const stored = Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox()))

const change = (scope: string) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const { own } = yield* configs.heads(scope)
    yield* configs.write({ scope, from: own, to: own })
  })

describe("a change of configuration", () => {
  it("of one sandbox is told to its session and to no other", () =>
    run(
      Effect.gen(function* () {
        const { id } = yield* stored
        const own = yield* attached(id)
        const older = yield* attached(id, false)
        const other = yield* attached("other")
        yield* change(id)
        yield* eventually(
          "it is told",
          Effect.sync(() => own.length > 0),
        )
        expect([own, older, other]).toEqual([[0], [], []])
      }),
    ))

  it("of all is told to every session, with time between them", () =>
    run(
      Effect.gen(function* () {
        const all = yield* Effect.forEach(Array.from({ length: 10 }), (_, index) => attached(`s-${index}`))
        yield* change(globalScope)
        yield* eventually(
          "all are told",
          Effect.sync(() => all.every((told) => told.length > 0)),
        )
        const spreadMs = (10 * 1_000) / limits.configFetchesPerSecond
        expect(all).toEqual(Array(10).fill([spreadMs]))
      }),
    ))

  it("that may have been missed is looked for once, and told to those whom it concerns", () =>
    run(
      Effect.gen(function* () {
        const { id } = yield* stored
        const database = yield* Database
        yield* change(id)
        const own = yield* attached(id)
        const other = yield* attached("other")
        yield* database.publish({ kind: "resync" })
        yield* eventually(
          "it is told",
          Effect.sync(() => own.length > 0),
        )
        expect(other).toEqual([])
      }),
    ))
})
