/** The key-encryption keys of provider credentials: from a setting or a file, and their making. */
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import path from "node:path"
import { Effect, Redacted } from "effect"
import { FailedPrecondition } from "../domain/Errors.ts"
import { type EncryptionKey, encryptionKey, keyBytes } from "./Envelope.ts"
import { attempt, ownDirectory, type PkiError, putFile } from "./KeyFiles.ts"

export interface CredentialKeySettings {
  /** Base64 of 32 bytes. */
  readonly key: Redacted.Redacted<string> | undefined
  /** Lines `name: base64`; the first encrypts, all decrypt. */
  readonly file: string | undefined
}

export const credentialKeysFile = "credential.keys"

const refuse = (message: string) => new FailedPrecondition({ message })

/** Standard or URL-safe base64, or 64 hex digits; undefined unless it is exactly one key. */
const bytesOf = (text: string): Buffer | undefined => {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, "hex")
  if (!/^[\w+/-]+=*$/.test(trimmed)) return undefined
  const bytes = Buffer.from(trimmed, "base64")
  return bytes.length === keyBytes ? bytes : undefined
}

const make = `\`head -c ${keyBytes} /dev/urandom | base64\` makes one`

/** Refusals name the line, never what stands in it. */
export const parseKeys = (content: string): Effect.Effect<ReadonlyArray<EncryptionKey>, FailedPrecondition> =>
  Effect.gen(function* () {
    const keys: Array<EncryptionKey> = []
    for (const [index, raw] of content.split("\n").entries()) {
      const line = raw.trim()
      if (line === "" || line.startsWith("#")) continue
      const at = line.indexOf(":")
      const name = line.slice(0, Math.max(at, 0)).trim()
      const bytes = bytesOf(line.slice(at + 1))
      if (!/^[\w.-]{1,64}$/.test(name) || bytes === undefined)
        return yield* refuse(
          `line ${index + 1} of the credential keys is not 'name: key', the key being base64 of ${keyBytes} bytes; ${make}`,
        )
      if (keys.some((known) => known.name === name))
        return yield* refuse(`line ${index + 1} of the credential keys repeats the name '${name}'`)
      keys.push(encryptionKey(name, bytes))
    }
    if (keys.length === 0) return yield* refuse("the credential keys hold no key")
    return keys
  })

/** None configured: none. Keys of the file come before the one of the setting. */
export const loadKeys = ({
  key,
  file,
}: CredentialKeySettings): Effect.Effect<ReadonlyArray<EncryptionKey>, FailedPrecondition> =>
  Effect.gen(function* () {
    const fromFile =
      file === undefined
        ? []
        : yield* Effect.tryPromise({
            try: () => readFile(file, "utf8"),
            catch: (cause) =>
              refuse(
                `cannot read HOLDFAST_CREDENTIAL_KEY_FILE ${file}: ${cause instanceof Error ? cause.message : cause}`,
              ),
          }).pipe(
            Effect.flatMap(parseKeys),
            Effect.mapError((error) => refuse(`${error.message} (${file})`)),
          )
    if (key === undefined) return fromFile
    const bytes = bytesOf(Redacted.value(key))
    if (bytes === undefined)
      return yield* refuse(`HOLDFAST_CREDENTIAL_KEY is not base64 of ${keyBytes} bytes; ${make}`)
    const single = encryptionKey("setting", bytes)
    return fromFile.some(({ fingerprint }) => fingerprint === single.fingerprint)
      ? fromFile
      : [...fromFile, single]
  })

/**
 * `<directory>/credential.keys` with one new key; a file that exists is kept, because what is in the database was
 * encrypted with it. Returns the file.
 */
export const ensureCredentialKeys = (directory: string): Effect.Effect<string, PkiError> =>
  attempt(`cannot make the key for credentials in ${directory}`, async () => {
    await ownDirectory(directory)
    const file = path.join(directory, credentialKeysFile)
    const existing = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined
      throw error
    })
    if (existing === undefined)
      await putFile(
        file,
        [
          "# Keys that encrypt the credentials of providers: the first encrypts, all decrypt.",
          `first: ${randomBytes(keyBytes).toString("base64")}`,
          "",
        ].join("\n"),
      )
    return file
  })
