/** `WatchSandbox` over a real listener: what comes, in which order, and when it ends. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Option } from "effect"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { bind } from "../../src/api/Endpoint.ts"
import { logOperations } from "../../src/api/LogMethods.ts"
import { developer } from "../../src/api/Principal.ts"
import { watchOperations } from "../../src/api/WatchMethods.ts"
import { limits } from "../../src/domain/Limits.ts"
import type { Sandbox } from "../../src/domain/Sandbox.ts"
import { Status } from "../../src/domain/Status.ts"
import { Events } from "../../src/store/Events.ts"
import { Logs } from "../../src/store/Logs.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import {
  OpenShell,
  type SandboxStreamEvent,
  type WatchSandboxRequestSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import { logs } from "../../src/wire/openshell-v1/Logs.ts"
import { type ApiServer, asUser, startApi } from "../kit/ApiServer.ts"
import { callUnary, openTyped } from "../kit/Calls.ts"
import { aLine, anEvent, aSandbox, storeKit } from "../kit/Stores.ts"
import { until } from "../kit/Until.ts"

const kit = storeKit("sqlite")
let api: ApiServer
beforeAll(async () => {
  const endpoints = [bind(logs.watch, watchOperations.watch), bind(logs.get, logOperations.get)]
  api = await startApi(kit.fresh(), { root: developer }, endpoints)
}, 60_000)
afterAll(() => api?.stop(), 60_000)

const insert = () => api.run(Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox())))
const log = (id: string, ...messages: ReadonlyArray<string>) =>
  api.run(
    Effect.flatMap(Logs, (store) =>
      store.append(
        id,
        messages.map((message) => aLine(id, { message })),
      ),
    ),
  )
const tell = (id: string, ...reasons: ReadonlyArray<string>) =>
  api.run(
    Effect.flatMap(Events, (store) =>
      Effect.forEach(reasons, (reason) => store.append(id, anEvent({ reason })), { discard: true }),
    ),
  )
const change = (id: string, next: Partial<Sandbox["status"]>) =>
  api.run(
    Effect.gen(function* () {
      const sandboxes = yield* Sandboxes
      const row = Option.getOrThrow(yield* sandboxes.get(id))
      yield* sandboxes.update({ ...row, status: { ...row.status, ...next } })
    }),
  )
const remove = (id: string) => api.run(Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.remove(id)))

/** One word for each thing that a watch tells. */
const wordOf = ({ payload }: SandboxStreamEvent): string => {
  switch (payload.case) {
    case "sandbox":
      return `phase ${payload.value.status?.phase}`
    case "log":
      return `log ${payload.value.message}`
    case "event":
      return `event ${payload.value.reason}`
    default:
      return payload.case ?? "nothing"
  }
}

const watch = async (request: MessageInitShape<typeof WatchSandboxRequestSchema>) => {
  const call = openTyped(api.connection, OpenShell.method.watchSandbox, asUser("root"))
  onTestFinished(() => call.cancel())
  await call.send(request)
  call.end()
  const next = async () => {
    const event = await call.receive()
    return event === undefined ? "end" : wordOf(event)
  }
  const take = async (count: number) => {
    const words: Array<string> = []
    for (let index = 0; index < count; index += 1) words.push(await next())
    return words
  }
  return { call, next, take }
}

const all = { followStatus: true, followLogs: true, followEvents: true }

describe("a watch", () => {
  it("begins with the sandbox, then the last lines and events, then goes on with what comes", async () => {
    const { id } = await insert()
    await log(id, "a", "b", "c")
    await tell(id, "One", "Two")
    const { take } = await watch({ id, ...all, logTailLines: 2, eventTail: 1 })
    expect(await take(4)).toEqual(["phase 1", "log b", "log c", "event Two"])
    await log(id, "d")
    expect(await take(1)).toEqual(["log d"])
    await tell(id, "Three")
    expect(await take(1)).toEqual(["event Three"])
    await change(id, { phase: "Ready" })
    expect(await take(1)).toEqual(["phase 2"])
  })

  it("replays 200 lines where none are asked for, and no events", async () => {
    const { id } = await insert()
    await log(id, ...Array.from({ length: limits.logTailDefault + 5 }, (_, index) => `${index}`))
    await tell(id, "One")
    const { take } = await watch({ id, ...all })
    const words = await take(1 + limits.logTailDefault)
    expect(words[1]).toBe("log 5")
    await tell(id, "Two")
    expect(await take(1)).toEqual(["event Two"])
  })

  it("sends only what is followed", async () => {
    const { id } = await insert()
    const { take } = await watch({ id, followStatus: true, eventTail: 5, logTailLines: 5 })
    await log(id, "unseen")
    await tell(id, "Unseen")
    await change(id, { phase: "Stopping" })
    expect(await take(2)).toEqual(["phase 1", "phase 6"])
  })

  it("filters lines by source and level, and the tail by age", async () => {
    const { id } = await insert()
    const append = (lines: ReadonlyArray<Parameters<typeof aLine>[1]>) =>
      api.run(
        Effect.flatMap(Logs, (store) =>
          store.append(
            id,
            lines.map((line) => aLine(id, line)),
          ),
        ),
      )
    const both = [
      { message: "pushed", source: "sandbox", timestampMs: 5_000 },
      { message: "debug", source: "gateway", level: "DEBUG", timestampMs: 5_000 },
      { message: "ocsf", source: "gateway", level: "OCSF", timestampMs: 5_000 },
    ] as const
    await append([{ message: "old", source: "gateway", timestampMs: 1_000 }, ...both])
    const { take } = await watch({
      id,
      followLogs: true,
      logSources: ["gateway"],
      logMinLevel: "INFO",
      logSinceMs: 2_000n,
    })
    expect(await take(2)).toEqual(["phase 1", "log ocsf"])
    await append([...both, { message: "old again", source: "gateway", timestampMs: 1_000 }])
    expect(await take(2)).toEqual(["log ocsf", "log old again"])
  })

  it("that is to stop once the sandbox is Ready does so, at once or later", async () => {
    const { id } = await insert()
    const waiting = await watch({ id, followStatus: true, stopOnTerminal: true })
    expect(await waiting.next()).toBe("phase 1")
    await change(id, { phase: "Error" })
    expect(await waiting.next()).toBe("phase 3")
    await change(id, { phase: "Ready" })
    expect(await waiting.take(2)).toEqual(["phase 2", "end"])
    const late = await watch({ id, followStatus: true, stopOnTerminal: true })
    expect(await late.take(2)).toEqual(["phase 2", "end"])
  })

  it("ends without an error when the sandbox is gone", async () => {
    const { id } = await insert()
    const { next } = await watch({ id, ...all })
    expect(await next()).toBe("phase 1")
    await remove(id)
    expect(await next()).toBe("end")
  })

  it("is told how much it missed when it was too slow", async () => {
    const { id } = await insert()
    const { call, next } = await watch({ id, followLogs: true })
    expect(await next()).toBe("phase 1")
    // More than all windows hold, so that the gateway waits for this client; then more than is kept.
    const wide = "x".repeat(64 * 1_024)
    for (let index = 0; index < 12; index += 1) await log(id, ...Array.from({ length: 40 }, () => wide))
    for (let index = 0; index < 30; index += 1) await log(id, ...Array.from({ length: 100 }, () => "y"))
    const read = async () => {
      while ((await call.receive()) !== undefined) {}
    }
    await expect(read()).rejects.toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
      message: expect.stringMatching(/^watch stream lagged; dropped \d+ messages$/),
    })
  })

  it("costs no statement while nothing happens", async () => {
    const { id } = await insert()
    const other = await insert()
    const watches = await Promise.all(Array.from({ length: 20 }, () => watch({ id, ...all })))
    for (const { next } of watches) expect(await next()).toBe("phase 1")
    await until("all tails are read", async () => {
      const before = api.statements()
      await new Promise((resolve) => setTimeout(resolve, 100))
      return api.statements() === before
    })
    const before = api.statements()
    await log(other.id, "elsewhere")
    const own = api.statements() - before
    const again = api.statements()
    await log(other.id, "elsewhere")
    expect(api.statements() - again).toBe(own)
    await log(id, "here")
    for (const { next } of watches) expect(await next()).toBe("log here")
  })
})

describe("the log of a sandbox", () => {
  it("is the last lines that pass the filter, and how many they are", async () => {
    const { id } = await insert()
    await log(id, ...Array.from({ length: 30 }, (_, index) => `${index}`))
    const page = await callUnary(
      api.connection,
      OpenShell.method.getSandboxLogs,
      { sandboxId: id, lines: 3 },
      asUser("root"),
    )
    expect(page.logs.map(({ message }) => message)).toEqual(["27", "28", "29"])
    expect(page.bufferTotal).toBe(3)
  })

  it("never answers with more than a client takes", async () => {
    const { id } = await insert()
    const wide = "x".repeat(64 * 1_024)
    for (let index = 0; index < 4; index += 1) await log(id, ...Array.from({ length: 40 }, () => wide))
    const page = await callUnary(
      api.connection,
      OpenShell.method.getSandboxLogs,
      { sandboxId: id },
      asUser("root"),
    )
    expect(page.logs.length).toBeGreaterThan(40)
    expect(page.logs.length).toBeLessThan(160)
  })
})
