/**
 * Wire contract 1.3: every status and text that can be provoked, provoked over a real listener. One table for each
 * area in `statuses/`; an area adds its rows there and its line below. All rows share one gateway: a row makes what
 * it needs under names of its own, and leaves what others use as it is.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { statusName } from "../../src/domain/Status.ts"
import { type StatusRow, StatusWorld } from "../kit/StatusTable.ts"
import { configRows } from "./statuses/Config.ts"
import { draftRows } from "./statuses/Drafts.ts"
import { providerRows } from "./statuses/Providers.ts"
import { sandboxRows } from "./statuses/Sandboxes.ts"
import { serviceRows } from "./statuses/Services.ts"
import { sessionRows } from "./statuses/Sessions.ts"
import { streamRows } from "./statuses/Streams.ts"
import { tokenRows } from "./statuses/Tokens.ts"
import { workspaceRows } from "./statuses/Workspaces.ts"

const areas: Readonly<Record<string, ReadonlyArray<StatusRow>>> = {
  configuration: configRows,
  proposals: draftRows,
  providers: providerRows,
  sandboxes: sandboxRows,
  sessions: sessionRows,
  streams: streamRows,
  services: serviceRows,
  tokens: tokenRows,
  workspaces: workspaceRows,
}

let world: StatusWorld
beforeAll(async () => {
  world = await StatusWorld.start()
}, 60_000)
afterAll(() => world?.stop(), 60_000)

for (const [area, rows] of Object.entries(areas))
  describe(area, () => {
    for (const { title, code, text, provoke } of rows)
      it(title, async () => {
        const answer = await provoke(world)
        expect(statusName(answer.code), answer.text).toBe(statusName(code))
        if (typeof text === "string") expect(answer.text).toBe(text)
        else expect(answer.text).toMatch(text)
      })
  })
