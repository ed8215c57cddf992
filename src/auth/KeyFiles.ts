/** Keys in files: written whole or not at all, readable by their owner only. */
import { type KeyObject, randomBytes } from "node:crypto"
import { chmod, mkdir, rename, writeFile } from "node:fs/promises"
import { Data, Effect } from "effect"

/** A key or certificate that cannot be made, read or written. */
export class PkiError extends Data.TaggedError("PkiError")<{ readonly message: string }> {}

export const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, PkiError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      new PkiError({ message: `${what}: ${error instanceof Error ? error.message : String(error)}` }),
  })

export const putFile = async (file: string, content: string): Promise<void> => {
  const fresh = `${file}.${randomBytes(4).toString("hex")}`
  await writeFile(fresh, content, { mode: 0o600 })
  await rename(fresh, file)
}

/** A directory for nobody else. */
export const ownDirectory = async (directory: string): Promise<void> => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
}

export const privatePem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString()
