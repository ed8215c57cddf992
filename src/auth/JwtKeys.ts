/** The key that signs sandbox tokens (wire contract 4.2): one for a cluster, shared by its replicas. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import path from "node:path"
import type { Effect } from "effect"
import { attempt, type PkiError, privatePem, putFile } from "./KeyFiles.ts"

/** Key id: the first 16 bytes of the SHA-256 of its SPKI. */
const keyId = (publicKey: KeyObject): string =>
  createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex")
    .slice(0, 32)

/**
 * The directory of HOLDFAST_JWT_DIR: `signing.pem` (Ed25519, PKCS#8), `public.pem` (SPKI), `kid`. A signing key
 * that exists is never replaced, because running sandboxes hold tokens of it.
 */
export const ensureJwtKeys = (directory: string): Effect.Effect<{ readonly kid: string }, PkiError> =>
  attempt(`cannot make the keys for sandbox tokens in ${directory}`, async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const signingFile = path.join(directory, "signing.pem")
    const existing = await readFile(signingFile, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined
      throw error
    })
    const key =
      existing === undefined ? generateKeyPairSync("ed25519").privateKey : createPrivateKey(existing)
    const publicKey = createPublicKey(key)
    const kid = keyId(publicKey)
    if (existing === undefined) await putFile(signingFile, privatePem(key))
    await putFile(
      path.join(directory, "public.pem"),
      publicKey.export({ type: "spki", format: "pem" }).toString(),
    )
    await putFile(path.join(directory, "kid"), `${kid}\n`)
    return { kid }
  })
