/**
 * Envelope encryption of single values with AES-256-GCM: a fresh data key encrypts the value, a key-encryption
 * key encrypts the data key. Both are bound to the place of the value (table, row, column), so that a value moved
 * elsewhere does not open. Every random nonce is used with one data key, or is one of few under a key-encryption key.
 *
 * Form: `v1.<fingerprint of the key-encryption key>.<wrapped data key>.<value>`, the last two as base64url of
 * nonce, tag and ciphertext.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto"
import { Data, Either } from "effect"

/** AES-256 */
export const keyBytes = 32
/** NIST SP 800-38D, 8.2: 96 bits */
const nonceBytes = 12
const tagBytes = 16
const version = "v1"

/** Where a value stands. */
export interface Place {
  readonly table: string
  readonly id: string
  readonly column: string
}

export interface EncryptionKey {
  /** Of a person's choice; seen in logs only. */
  readonly name: string
  /** First 8 bytes of a SHA-256 over the key, hex: names the key in a sealed value. */
  readonly fingerprint: string
  readonly bytes: Buffer
}

/** A value that does not open: damaged, moved, or sealed under a key that is not here. */
export class SealBroken extends Data.TaggedError("SealBroken")<{
  readonly reason: "form" | "key" | "content"
  readonly message: string
}> {}

/** The bytes must be `keyBytes` long. */
export const encryptionKey = (name: string, bytes: Buffer): EncryptionKey => ({
  name,
  bytes,
  fingerprint: createHash("sha256")
    .update("holdfast key-encryption key\0")
    .update(bytes)
    .digest("hex")
    .slice(0, 16),
})

const aad = (purpose: string, { table, id, column }: Place): Buffer =>
  Buffer.from(JSON.stringify(["holdfast", version, purpose, table, id, column]))

const encrypt = (key: Buffer, bound: Buffer, content: Buffer): Buffer => {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes }).setAAD(bound)
  const body = Buffer.concat([cipher.update(content), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body])
}

/** Undefined when the content or what it is bound to was changed. */
const decrypt = (key: Buffer, bound: Buffer, sealed: Buffer): Buffer | undefined => {
  if (sealed.length < nonceBytes + tagBytes) return undefined
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  }).setAAD(bound)
  decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()])
  } catch {
    return undefined
  }
}

const wrap = (key: EncryptionKey, place: Place, dataKey: Buffer): string =>
  [
    version,
    key.fingerprint,
    encrypt(key.bytes, aad(`key ${key.fingerprint}`, place), dataKey).toString("base64url"),
  ].join(".")

export const seal = (key: EncryptionKey, place: Place, content: string): string => {
  const dataKey = randomBytes(keyBytes)
  const body = encrypt(dataKey, aad("value", place), Buffer.from(content, "utf8"))
  return `${wrap(key, place, dataKey)}.${body.toString("base64url")}`
}

/** Fingerprint of the key-encryption key of a sealed value; undefined for what is none. */
export const fingerprintOf = (sealed: string): string | undefined =>
  /^v1\.([0-9a-f]{16})\.[\w-]+\.[\w-]+$/.exec(sealed)?.[1]

const unwrap = (
  keys: ReadonlyArray<EncryptionKey>,
  place: Place,
  sealed: string,
): Either.Either<{ readonly dataKey: Buffer; readonly body: string }, SealBroken> => {
  const fingerprint = fingerprintOf(sealed)
  const [, , wrapped = "", body = ""] = sealed.split(".")
  if (fingerprint === undefined)
    return Either.left(new SealBroken({ reason: "form", message: "not a sealed value" }))
  const key = keys.find((candidate) => candidate.fingerprint === fingerprint)
  if (key === undefined)
    return Either.left(
      new SealBroken({ reason: "key", message: `sealed under key ${fingerprint}, which is not configured` }),
    )
  const bound = aad(`key ${fingerprint}`, place)
  const dataKey = decrypt(key.bytes, bound, Buffer.from(wrapped, "base64url"))
  return dataKey?.length === keyBytes
    ? Either.right({ dataKey, body })
    : Either.left(new SealBroken({ reason: "content", message: "the sealed data key is not authentic" }))
}

export const open = (
  keys: ReadonlyArray<EncryptionKey>,
  place: Place,
  sealed: string,
): Either.Either<string, SealBroken> =>
  Either.flatMap(unwrap(keys, place, sealed), ({ dataKey, body }) => {
    const content = decrypt(dataKey, aad("value", place), Buffer.from(body, "base64url"))
    return content === undefined
      ? Either.left(new SealBroken({ reason: "content", message: "the sealed value is not authentic" }))
      : Either.right(content.toString("utf8"))
  })

/** The same value with its data key under the first of the keys; the value itself is not opened. */
export const rewrap = (
  keys: readonly [EncryptionKey, ...Array<EncryptionKey>],
  place: Place,
  sealed: string,
): Either.Either<string, SealBroken> =>
  Either.map(unwrap(keys, place, sealed), ({ dataKey, body }) => `${wrap(keys[0], place, dataKey)}.${body}`)
