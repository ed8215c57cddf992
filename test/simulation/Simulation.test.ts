import { describe, expect, it } from "vitest"
import { type BugName, bugs } from "./Bugs.ts"
import { corpus } from "./Corpus.ts"
import { programOf } from "./Program.ts"
import { run } from "./Run.ts"

Error.stackTraceLimit = 0

/** The first seed that finds a mistake, or undefined. */
const found = async (name: BugName): Promise<number | undefined> => {
  const { rules, first, within } = bugs[name]
  for (let seed = first; seed < first + within; seed += 1)
    if ((await run(programOf(seed), rules())).violation !== undefined) return seed
  return undefined
}

describe("the simulation of a cluster", () => {
  it("replays a seed exactly", { timeout: 60_000 }, async () => {
    const [once, again, other] = [await run(programOf(7)), await run(programOf(7)), await run(programOf(8))]
    expect(again.hash).toBe(once.hash)
    expect(other.hash).not.toBe(once.hash)
  })

  it.each(corpus())("keeps its promises where once $about", { timeout: 60_000 }, async ({ program }) => {
    expect((await run(program)).violation?.message).toBe(undefined)
  })

  it.each(Object.keys(bugs).filter((name): name is BugName => name in bugs))(
    "finds the planted mistake %s",
    { timeout: 120_000 },
    async (name) => {
      expect(await found(name)).toBeDefined()
    },
  )
})
