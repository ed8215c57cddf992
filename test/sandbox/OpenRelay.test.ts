/** A token that is revoked opens nothing more, whatever an open was waiting for just then. */
import { Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { Edges } from "../../src/sandbox/Edges.ts"
import * as OpenRelay from "../../src/sandbox/OpenRelay.ts"
import * as Phase from "../../src/sandbox/Phase.ts"
import type { OpenRequest } from "../../src/sandbox/SandboxEntity.ts"
import * as SandboxState from "../../src/sandbox/SandboxState.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { SshSessions } from "../../src/store/SshSessions.ts"
import { aPresence, aSandbox, owned, storeKit } from "../kit/Stores.ts"

const { run } = storeKit("sqlite")
const fence = { shard: 1, epoch: 4 }
const tokenHash = "hash"

const request: OpenRequest = {
  ...{ channelId: "c", target: { kind: "ssh" }, serviceId: "", tokenHash },
  ...{ rendezvous: { replica: "one/1", ticket: "" }, waitMs: 10_000 },
}

/** The edge and the store call back before they answer. */
interface Hooks {
  readonly opening?: Effect.Effect<void>
  readonly found?: Effect.Effect<void>
}

const play = (
  hooks: (revoke: Effect.Effect<void>) => Hooks,
  f: (actor: {
    readonly open: Effect.Effect<unknown, { readonly _tag: string }>
    readonly revoke: Effect.Effect<void>
    readonly attach: Effect.Effect<void>
    readonly calls: ReadonlyArray<string>
  }) => Effect.Effect<void, unknown, Scope.Scope>,
) =>
  run(
    Effect.gen(function* () {
      yield* owned
      const sandboxes = yield* Sandboxes
      const tokens = yield* SshSessions
      const status = Phase.attached(Phase.initial(0), "i", 0)
      const { id } = yield* sandboxes.insert(aSandbox({ status }))
      yield* tokens.create({ tokenHash, sandboxId: id, createdAtMs: 1, expiresAtMs: 0 })
      const calls: Array<string> = []
      const revoked = yield* Deferred.make<Effect.Effect<void>>()
      const revoke = Effect.flatten(Deferred.await(revoked))
      const { opening = Effect.void, found = Effect.void } = hooks(revoke)
      const state = yield* SandboxState.make(id, Effect.succeed(fence))
      const edges = Edges.of({
        open: () =>
          Effect.as(
            Effect.zipRight(
              Effect.sync(() => calls.push("open")),
              opening,
            ),
            { stream: false },
          ),
        endSession: () => Effect.void,
        slots: () => Effect.succeed([]),
        cut: () => Effect.sync(() => void calls.push("cut")),
        isLive: () => true,
      })
      const relays = yield* OpenRelay.make(state, Effect.succeed(fence)).pipe(
        Effect.provideService(Edges, edges),
        Effect.provideService(SshSessions, {
          ...tokens,
          find: (hash) => Effect.tap(tokens.find(hash), () => found),
        }),
      )
      yield* Deferred.succeed(
        revoked,
        Effect.orDie(tokens.revoke(tokenHash)).pipe(
          Effect.zipRight(Effect.sync(() => relays.revoke(tokenHash))),
        ),
      )
      yield* Effect.scoped(
        f({
          open: relays.open({ ...request }),
          revoke,
          attach: Effect.orDie(state.current).pipe(
            Effect.map(() => state.setPresence(aPresence(id))),
            Effect.zipRight(state.announce),
          ),
          calls,
        }),
      )
    }),
  )

const refused = (exit: Exit.Exit<unknown, { readonly _tag: string }>) =>
  Exit.match(exit, {
    onSuccess: () => "opened",
    onFailure: (cause) => (cause._tag === "Fail" ? cause.error._tag : cause._tag),
  })

describe("a token that is revoked", () => {
  it("while its row is read opens nothing, then and later", () =>
    play(
      (revoke) => ({ found: revoke }),
      ({ open, attach, calls }) =>
        Effect.gen(function* () {
          yield* attach
          expect(refused(yield* Effect.exit(open))).toBe("Unauthenticated")
          expect(refused(yield* Effect.exit(open))).toBe("Unauthenticated")
          expect(calls).toEqual([])
        }),
    ))

  it("while its open waits for a session is not asked of the session that comes", () =>
    play(
      () => ({}),
      ({ open, revoke, attach, calls }) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.fork(Effect.exit(open))
          yield* Effect.sleep(20)
          yield* revoke
          yield* attach
          expect(refused(yield* Fiber.join(waiting))).toBe("Unauthenticated")
          expect(calls).toEqual([])
        }),
    ))

  it("while the edge opens its relay has that cut again", () =>
    play(
      (revoke) => ({ opening: revoke }),
      ({ open, attach, calls }) =>
        Effect.gen(function* () {
          yield* attach
          expect(refused(yield* Effect.exit(open))).toBe("Unauthenticated")
          expect(calls).toEqual(["open", "cut"])
        }),
    ))
})
