/**
 * Brings stored credentials under the key that encrypts now, when a replica starts: after the order of the keys was
 * changed and every replica restarted, nothing needs the former key any more.
 */
import { Effect, Layer, Schedule } from "effect"
import { CredentialVault, placeOf } from "../auth/CredentialVault.ts"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Providers, type StoredProvider } from "../store/Providers.ts"

/** Whether it is under that key now; one that does not open is logged by the vault and left. */
const moved = (
  { id, sealedCredentials }: StoredProvider,
  encryptionKey: string,
): Effect.Effect<boolean, Unavailable, CredentialVault | Providers> =>
  Effect.gen(function* () {
    const vault = yield* CredentialVault
    const providers = yield* Providers
    const fresh = yield* Effect.option(vault.rewrapped(placeOf(id), sealedCredentials))
    if (fresh._tag === "None") return false
    // Somebody else wrote it in the meantime: then it is under that somebody's key.
    yield* providers.reseal(id, sealedCredentials, { sealedCredentials: fresh.value, encryptionKey })
    return true
  })

/** How many it moved and how many it could not. A replica that holds other keys may move some back: it restarts too. */
export const rotateAll: Effect.Effect<
  { readonly moved: number; readonly left: number },
  Unavailable,
  CredentialVault | Providers
> = Effect.gen(function* () {
  const { current } = yield* CredentialVault
  const providers = yield* Providers
  const counts = { moved: 0, left: 0 }
  if (current === undefined) return counts
  for (;;) {
    const found = yield* providers.sealedOtherwise(current)
    let progress = 0
    for (const provider of found) {
      if (yield* moved(provider, current)) progress += 1
      else counts.left += 1
    }
    counts.moved += progress
    // A batch that nothing could be done about would come again.
    if (found.length < limits.credentialRotationBatch || progress === 0) return counts
  }
})

export const layer = Layer.scopedDiscard(
  rotateAll.pipe(
    Effect.retry(Schedule.spaced(limits.databaseRetryMaxMs)),
    Effect.tap((counts) =>
      counts.moved + counts.left === 0
        ? Effect.void
        : Effect.logInfo("Credentials brought under the current key").pipe(Effect.annotateLogs(counts)),
    ),
    Effect.forkScoped,
  ),
)
