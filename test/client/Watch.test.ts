import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Option, Stream } from "effect"
import { followSandbox } from "../../src/client/Follow.ts"
import { GatewayClient } from "../../src/client/GatewayClient.ts"
import { type WatchEvent, waitForPhase } from "../../src/client/Watch.ts"
import { SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { eventually } from "../kit/Until.ts"
import { startPair } from "./Fixtures.ts"
import { GatewayDouble } from "./GatewayDouble.ts"

describe("waiting for a phase", () => {
  it.scopedLive("ends when the sandbox is ready and reports what happens before", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.initialPhase = SandboxPhase.PROVISIONING
      const sandbox = double.add("demo")
      const seen: Array<WatchEvent["_tag"]> = []
      const waiting = yield* Effect.fork(
        waitForPhase(client, yield* client.getSandbox("demo"), {
          phase: "Ready",
          onEvent: ({ _tag }) => Effect.sync(() => seen.push(_tag)),
        }),
      )
      yield* Effect.promise(() => eventually("the watch", () => double.watchers === 1))
      double.emit(sandbox, { payload: { case: "event", value: { reason: "Pulling" } } })
      double.setPhase(sandbox, SandboxPhase.READY)
      expect((yield* Fiber.join(waiting)).status.phase).toBe("Ready")
      expect(seen).toEqual(["Status", "Event", "Status"])
    }),
  )

  it.scopedLive("fails with the reason when the sandbox ends in error", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.initialPhase = SandboxPhase.ERROR
      double.add("demo").reason = "ImagePullBackOff"
      const error = yield* Effect.flip(
        waitForPhase(client, yield* client.getSandbox("demo"), { phase: "Ready" }),
      )
      expect(error).toMatchObject({ _tag: "FailedPrecondition", message: "ImagePullBackOff" })
    }),
  )

  it.scopedLive("fails with the phase that it is in when the time is over", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.initialPhase = SandboxPhase.STARTING
      double.add("demo")
      const error = yield* Effect.flip(
        waitForPhase(client, yield* client.getSandbox("demo"), { phase: "Ready", timeoutMs: 200 }),
      )
      expect(error._tag).toBe("DeadlineExceeded")
      expect(error.message).toContain("Starting and not Ready after 0.2 s")
    }),
  )

  it.scopedLive("takes the end of the watch as the deletion that was waited for", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.add("demo")
      const sandbox = yield* client.getSandbox("demo")
      yield* client.deleteSandbox("demo")
      expect((yield* waitForPhase(client, sandbox, { phase: "Deleted" })).name).toBe("demo")
      expect(double.sandboxes.size).toBe(0)
    }),
  )
})

describe("following", () => {
  it.scopedLive("goes on after the gateway was replaced, without repeating lines", () =>
    Effect.gen(function* () {
      const first = yield* Effect.promise(() => GatewayDouble.start())
      const sandbox = first.add("demo")
      const line = (message: string, timestampMs: number) =>
        ({
          sandboxId: sandbox.id,
          message,
          timestampMs: BigInt(timestampMs),
          level: "INFO",
          source: "sandbox",
        }) as const
      sandbox.logs.push(line("one", 1_000), line("two", 2_000), line("three", 2_000))
      const client = yield* GatewayClient.make({ endpoint: { url: first.url } })
      const seen: Array<string> = []
      const following = yield* Effect.fork(
        followSandbox(client, sandbox.id, { logs: true }).pipe(
          Stream.filterMap((event) =>
            event._tag === "Log" ? Option.some(event.line.message) : Option.none(),
          ),
          Stream.tap((message) => Effect.sync(() => seen.push(message))),
          Stream.take(4),
          Stream.runCollect,
        ),
      )
      yield* Effect.promise(() => eventually("three lines", () => seen.length === 3))
      yield* Effect.promise(() => first.stop())
      const second = yield* Effect.acquireRelease(
        Effect.promise(() => GatewayDouble.start(Number(new URL(first.url).port))),
        (running) => Effect.promise(() => running.stop()),
      )
      second.sandboxes.set("demo", sandbox)
      sandbox.logs.push(line("four", 2_000))
      expect(Chunk.toReadonlyArray(yield* Fiber.join(following))).toEqual(["one", "two", "three", "four"])
    }),
  )
})
