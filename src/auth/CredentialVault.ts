/** Seals and opens the credentials of providers with the keys of this gateway. */
import { Context, Effect, Either, Layer, Schema } from "effect"
import { FailedPrecondition, Internal } from "../domain/Errors.ts"
import { type CredentialKeySettings, loadKeys } from "./CredentialKeys.ts"
import { type EncryptionKey, fingerprintOf, open, type Place, rewrap, seal } from "./Envelope.ts"

/** Where the vault finds the credentials of the provider with that id. */
export const placeOf = (id: string): Place => ({ table: "providers", id, column: "sealed_credentials" })

type Secrets = Readonly<Record<string, string>>

export class CredentialVault extends Context.Tag("holdfast/CredentialVault")<
  CredentialVault,
  {
    /** Fingerprint of the key that seals; undefined when no key is configured. */
    readonly current: string | undefined
    readonly sealed: (place: Place, secrets: Secrets) => Effect.Effect<string, FailedPrecondition>
    readonly opened: (place: Place, sealed: string) => Effect.Effect<Secrets, FailedPrecondition | Internal>
    /** The same secrets under the key that seals now. */
    readonly rewrapped: (place: Place, sealed: string) => Effect.Effect<string, FailedPrecondition | Internal>
  }
>() {}

const unconfigured = new FailedPrecondition({
  message:
    "credential encryption is not configured on this gateway: set HOLDFAST_CREDENTIAL_KEY_FILE or HOLDFAST_CREDENTIAL_KEY",
})

const decodeSecrets = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String })),
)

const make = (keys: ReadonlyArray<EncryptionKey>) => {
  const [first, ...others] = keys
  const broken = (place: Place, cause: string) =>
    Effect.zipRight(
      Effect.logError("Credentials do not open").pipe(Effect.annotateLogs({ ...place, cause })),
      Effect.fail(
        new Internal({
          message: `the stored credentials of ${place.table} '${place.id}' cannot be opened: ${cause}`,
        }),
      ),
    )
  return CredentialVault.of({
    current: first?.fingerprint,
    sealed: (place, secrets) =>
      first === undefined
        ? Effect.fail(unconfigured)
        : Effect.sync(() => seal(first, place, JSON.stringify(secrets))),
    opened: (place, sealed) =>
      Effect.gen(function* () {
        if (first === undefined) return yield* unconfigured
        const content = open(keys, place, sealed)
        if (Either.isLeft(content)) return yield* broken(place, content.left.message)
        const secrets = decodeSecrets(content.right)
        // The reason would quote what was decoded.
        if (Either.isLeft(secrets)) return yield* broken(place, "not a set of names and values")
        return secrets.right
      }),
    rewrapped: (place, sealed) =>
      Effect.gen(function* () {
        if (first === undefined) return yield* unconfigured
        if (fingerprintOf(sealed) === first.fingerprint) return sealed
        const fresh = rewrap([first, ...others], place, sealed)
        return Either.isLeft(fresh) ? yield* broken(place, fresh.left.message) : fresh.right
      }),
  })
}

export const layer = (settings: CredentialKeySettings): Layer.Layer<CredentialVault, FailedPrecondition> =>
  Layer.effect(CredentialVault, Effect.map(loadKeys(settings), make))
