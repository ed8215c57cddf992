/** A client that may use several replicas, one of which cannot act. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Link } from "../../src/client/Link.ts"
import { databaseAwayText } from "../../src/domain/Errors.ts"
import { limits } from "../../src/domain/Limits.ts"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { createGrpcServer } from "../../src/wire/grpc/GrpcServer.ts"

const path = "/test.Service/Ask"

interface Replica {
  readonly url: string
  readonly asked: () => number
}

const replica = (answer: () => Uint8Array): Effect.Effect<Replica, never, Scope.Scope> =>
  Effect.gen(function* () {
    let asked = 0
    const server = createGrpcServer({
      router: () => ({
        kind: "unary",
        handle: async () => {
          asked += 1
          return answer()
        },
      }),
    })
    const { port } = yield* Effect.acquireRelease(
      Effect.promise(() => server.listen(0, "127.0.0.1")),
      () => Effect.promise(() => server.close(0)),
    )
    return { url: `http://127.0.0.1:${port}`, asked: () => asked }
  })

const cutOff = () => {
  throw grpcError(Status.UNAVAILABLE, `supervisor relay failed: ${databaseAwayText}`)
}

const linkTo = (url: string, others: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => new Link({ url, others })),
    (link) => Effect.sync(() => link.close()),
  )

const ask = (link: Link, attempts: number) =>
  Effect.promise(() =>
    link
      .call((connection) => connection.unary(path, new Uint8Array(), { timeoutMs: 5_000 }), { attempts })
      .then(
        (bytes) => Buffer.from(bytes).toString(),
        (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
      ),
  )

describe("a link over several replicas", () => {
  it.scopedLive("takes another replica at once when one says that it may not act", () =>
    Effect.gen(function* () {
      const first = yield* replica(cutOff)
      const second = yield* replica(() => Buffer.from("done"))
      const link = yield* linkTo(first.url, [second.url])
      expect(yield* ask(link, limits.clientCallAttempts)).toBe("done")
      // And stays there.
      expect(yield* ask(link, limits.clientCallAttempts)).toBe("done")
      expect(first.asked()).toBe(1)
    }),
  )

  it.scopedLive("does not ask twice for what may have been done", () =>
    Effect.gen(function* () {
      const first = yield* replica(cutOff)
      const second = yield* replica(() => Buffer.from("done"))
      const link = yield* linkTo(first.url, [second.url])
      expect(yield* ask(link, 1)).toContain(databaseAwayText)
      expect(second.asked()).toBe(0)
    }),
  )

  it.scopedLive("passes the answer on when another one says so too, and asks no third time", () =>
    Effect.gen(function* () {
      const first = yield* replica(cutOff)
      const second = yield* replica(cutOff)
      const link = yield* linkTo(first.url, [second.url])
      expect(yield* ask(link, limits.clientCallAttempts)).toContain(databaseAwayText)
      expect([first.asked(), second.asked()]).toEqual([1, 1])
    }),
  )

  it.scopedLive("asks once without extensions, as OpenShell's clients do", () =>
    Effect.gen(function* () {
      const first = yield* replica(cutOff)
      const second = yield* replica(() => Buffer.from("done"))
      const link = yield* Effect.acquireRelease(
        Effect.sync(() => new Link({ url: first.url, others: [second.url], extensions: false })),
        (opened) => Effect.sync(() => opened.close()),
      )
      expect(yield* ask(link, limits.clientCallAttempts)).toContain(databaseAwayText)
      expect([first.asked(), second.asked()]).toEqual([1, 0])
    }),
  )
})
