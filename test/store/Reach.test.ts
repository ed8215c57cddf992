import { Effect, Exit } from "effect"
import { beforeEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import * as Reach from "../../src/store/Reach.ts"
import { guard } from "../../src/store/SqlErrors.ts"

/** As the database of a test before this one left it. */
beforeEach(() => Reach.heard(performance.now()))

const unanswered = guard("test")(Effect.never)
const answered = guard("test")(Effect.void)

const messageOf = (effect: Effect.Effect<unknown, { readonly message: string }>): Promise<string> =>
  Effect.runPromise(Effect.map(Effect.flip(effect), ({ message }) => message))

describe("a store operation", () => {
  it("is given up when the database answers nobody, and the next one sooner, until it answers again", async () => {
    expect(await messageOf(unanswered)).toContain(`no answer within ${limits.databaseSilentMs} ms`)
    expect(Reach.isSilent()).toBe(true)
    expect(await messageOf(unanswered)).toContain(`no answer within ${limits.databaseAgainMs} ms`)
    await Effect.runPromise(answered)
    expect(Reach.isSilent()).toBe(false)
    expect(await messageOf(unanswered)).toContain(`no answer within ${limits.databaseSilentMs} ms`)
  })

  it("is waited for while others are answered: then it is slow and the database is there", async () => {
    const timer = setInterval(() => Reach.heard(performance.now()), limits.databaseSilentMs / 4)
    const message = await messageOf(unanswered)
    clearInterval(timer)
    expect(message).toContain(`no answer within ${limits.databaseCallMs} ms`)
    expect(Reach.isSilent()).toBe(false)
  })

  it("is not kept alive by an answer to an older question", async () => {
    const earlierMs = performance.now() - 1_000
    const timer = setInterval(() => Reach.heard(earlierMs), 50)
    const message = await messageOf(unanswered)
    clearInterval(timer)
    expect(message).toContain(`no answer within ${limits.databaseSilentMs} ms`)
  })

  it("that fails by itself does so at once", async () => {
    const exit = await Effect.runPromiseExit(guard("test")(Effect.fail("conflict" as const)))
    expect(exit).toEqual(Exit.fail("conflict"))
  })
})
