/** The sandbox's JWT: where it comes from, when it ends, and where a new one is kept. */
import { readFile, rename, stat, writeFile } from "node:fs/promises"
import { Effect, Option, Redacted, Schema } from "effect"
import { limits } from "../../domain/Limits.ts"
import type { TokenSource } from "../SupervisorConfig.ts"
import { SupervisorError } from "../SupervisorError.ts"

const Claims = Schema.parseJson(Schema.Struct({ exp: Schema.optional(Schema.Number) }))
const decodeClaims = Schema.decodeUnknownOption(Claims)

/** End of a JWT's life in Unix milliseconds; undefined when it names none or is no JWT. Not verified here. */
export const tokenExpiryMs = (token: Redacted.Redacted<string>): number | undefined => {
  const payload = Buffer.from(Redacted.value(token).split(".")[1] ?? "", "base64url").toString()
  const exp = Option.getOrUndefined(decodeClaims(payload))?.exp ?? 0
  return exp > 0 ? exp * 1_000 : undefined
}

/** When to refresh a token that ends at `expiryMs`, counted from now. `random` is in [0, 1). */
export const refreshDelayMs = (nowMs: number, expiryMs: number | undefined, random: number): number => {
  if (expiryMs === undefined) return limits.tokenRefreshUnknownMs
  const percent = limits.tokenRefreshPercent + random * limits.tokenRefreshSpreadPercent
  const delay = ((expiryMs - nowMs) * percent) / 100
  return Math.min(Math.max(delay, limits.tokenRefreshMinMs), limits.tokenRefreshMaxMs)
}

export class TokenStore {
  readonly #path: string | undefined
  #token: Redacted.Redacted<string>
  /** What the file held when it was last read or written. */
  #fileText: string

  private constructor(path: string | undefined, text: string) {
    this.#path = path
    this.#fileText = text
    this.#token = Redacted.make(text)
  }

  static readonly make = (source: TokenSource): Effect.Effect<TokenStore, SupervisorError> =>
    source.kind === "value"
      ? Effect.succeed(new TokenStore(undefined, Redacted.value(source.token)))
      : Effect.tryPromise({
          try: async () => new TokenStore(source.path, await readToken(source.path)),
          catch: (cause) =>
            new SupervisorError({
              reason: "configuration",
              message: `OPENSHELL_SANDBOX_TOKEN_FILE: ${cause instanceof Error ? cause.message : "not readable"}`,
            }),
        })

  get current(): Redacted.Redacted<string> {
    return this.#token
  }

  /** Takes over what somebody else wrote into the token file since. */
  async reread(): Promise<void> {
    if (this.#path === undefined) return
    const text = await readToken(this.#path).catch(() => this.#fileText)
    if (text === this.#fileText) return
    this.#fileText = text
    this.#token = Redacted.make(text)
  }

  /** Uses a new token from now on and keeps it in the file, whole or not at all, where that is writable. */
  async replace(token: Redacted.Redacted<string>): Promise<void> {
    this.#token = token
    if (this.#path === undefined) return
    const text = Redacted.value(token)
    const temporary = `${this.#path}.new`
    try {
      const { mode } = await stat(this.#path)
      await writeFile(temporary, text, { mode: mode & 0o777 })
      await rename(temporary, this.#path)
      this.#fileText = text
    } catch {
      // A read-only mount is normal; the token then lives in memory only.
    }
  }
}

const readToken = async (path: string): Promise<string> => {
  const { size } = await stat(path)
  if (size > limits.tokenFileBytes) throw new Error(`${path} is larger than ${limits.tokenFileBytes} bytes`)
  const text = (await readFile(path, "utf8")).trim()
  if (text === "") throw new Error(`${path} is empty`)
  return text
}
