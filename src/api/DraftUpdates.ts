/** What a watcher learns of the rules that are proposed for a sandbox's policy. */
import { Effect, Option } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import type { DraftUpdate } from "../domain/SandboxRequests.ts"
import { Configs } from "../store/Configs.ts"
import { Drafts } from "../store/Drafts.ts"

const rules = (count: number): string => `${count} proposed ${count === 1 ? "rule" : "rules"}`

/** An effect that answers what changed since it was asked last, at first since now; nothing when that is nothing. */
export const draftUpdates = (
  sandboxId: string,
): Effect.Effect<Effect.Effect<Option.Option<DraftUpdate>, Unavailable>, Unavailable, Configs | Drafts> =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const drafts = yield* Drafts
    const versionNow = Effect.map(configs.heads(sandboxId), ({ own }) => own.draftVersion)
    const pendingNow = Effect.map(drafts.chunks(sandboxId), (chunks) =>
      chunks.filter(({ status }) => status === "pending").map(({ id }) => id),
    )
    let seenVersion = yield* versionNow
    let seen: ReadonlySet<string> = new Set(seenVersion === 0 ? [] : yield* pendingNow)
    return Effect.gen(function* () {
      const draftVersion = yield* versionNow
      if (draftVersion === seenVersion) return Option.none()
      const pending = yield* pendingNow
      const newChunks = pending.filter((id) => !seen.has(id)).length
      seenVersion = draftVersion
      seen = new Set(pending)
      const summary = `${rules(newChunks)} more; ${rules(pending.length)} to decide on`
      return Option.some({ draftVersion, newChunks, totalPending: pending.length, summary })
    })
  })
