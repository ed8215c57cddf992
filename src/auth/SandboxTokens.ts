/** Sandbox JWTs (wire contract 4.2): Ed25519, one key per cluster, shared by all replicas. */
import { createHash, createPublicKey } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { errors, importPKCS8, importSPKI, jwtVerify, SignJWT } from "jose"
import { FailedPrecondition, Internal, Unauthenticated } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"

export interface SandboxTokenSettings {
  /** Directory with `signing.pem` (PKCS#8), `public.pem` (SPKI) and `kid`. */
  readonly directory: string
  readonly gatewayId: string
  /** Life of a token; 0 means that it does not expire. */
  readonly ttlMs: number
}

export interface SandboxToken {
  readonly token: Redacted.Redacted<string>
  /** 0 = never. */
  readonly expiresAtMs: number
}

export class SandboxTokens extends Context.Tag("holdfast/SandboxTokens")<
  SandboxTokens,
  {
    readonly mint: (sandboxId: string) => Effect.Effect<SandboxToken, Internal>
    /** The sandbox that the token speaks for. Fails with the texts of wire contract 1.3. */
    readonly verify: (token: string) => Effect.Effect<string, Unauthenticated>
    readonly jwks: unknown
  }
>() {}

/** Leeway of OpenShell 0.0.111. */
const clockToleranceSeconds = 60

interface Verified {
  readonly sandboxId: string
  readonly validUntilMs: number
}

const reasonOf = (error: unknown): string => {
  if (error instanceof errors.JWTExpired) return "ExpiredSignature"
  if (error instanceof errors.JWSSignatureVerificationFailed) return "InvalidSignature"
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === "iss"
      ? "InvalidIssuer"
      : error.claim === "aud"
        ? "InvalidAudience"
        : "InvalidToken"
  return "InvalidToken"
}

const headerOf = (token: string): Record<string, unknown> => {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString("utf8"))
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}

const make = (settings: SandboxTokenSettings) =>
  Effect.gen(function* () {
    const load = Effect.tryPromise({
      try: async () => {
        const publicPem = readFileSync(join(settings.directory, "public.pem"), "utf8")
        const key = createPublicKey(publicPem)
        const spki = key.export({ type: "spki", format: "der" })
        const kid = createHash("sha256").update(spki).digest("hex").slice(0, 32)
        return {
          kid,
          signing: await importPKCS8(readFileSync(join(settings.directory, "signing.pem"), "utf8"), "EdDSA"),
          verifying: await importSPKI(publicPem, "EdDSA"),
          jwk: { ...key.export({ format: "jwk" }), alg: "EdDSA", use: "sig", kid },
        }
      },
      catch: (cause) =>
        new FailedPrecondition({
          message: `cannot read the sandbox token keys in ${settings.directory}: ${cause instanceof Error ? cause.message : cause}. Set HOLDFAST_JWT_DIR to a directory with signing.pem and public.pem (Ed25519).`,
        }),
    })
    const keys = yield* load
    const issuer = `openshell-gateway:${settings.gatewayId}`

    /** By digest. A supervisor shows its token with every relay, and checking a signature takes half a millisecond. */
    const verified = new Map<string, Verified>()
    const remember = (digest: string, claims: Verified): string => {
      const oldest = verified.keys().next()
      if (verified.size >= limits.verifiedTokens && oldest.done !== true) verified.delete(oldest.value)
      verified.set(digest, claims)
      return claims.sandboxId
    }
    const recall = (digest: string, nowMs: number): string | undefined => {
      const known = verified.get(digest)
      if (known === undefined || known.validUntilMs > nowMs) return known?.sandboxId
      verified.delete(digest)
      return undefined
    }

    return SandboxTokens.of({
      jwks: { keys: [keys.jwk] },
      mint: (sandboxId) =>
        Effect.gen(function* () {
          const nowMs = yield* Clock.currentTimeMillis
          const expiresAtMs = settings.ttlMs === 0 ? 0 : nowMs + settings.ttlMs
          const token = yield* Effect.tryPromise({
            try: () =>
              new SignJWT({ sandbox_id: sandboxId, exp: Math.floor(expiresAtMs / 1000) })
                .setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid: keys.kid })
                .setIssuer(issuer)
                .setAudience(issuer)
                .setSubject(`spiffe://openshell/sandbox/${sandboxId}`)
                .setIssuedAt(Math.floor(nowMs / 1000))
                .sign(keys.signing),
            catch: () => new Internal({ message: "the sandbox token could not be signed" }),
          })
          return { token: Redacted.make(token), expiresAtMs }
        }),
      verify: (token) =>
        Effect.gen(function* () {
          const nowMs = yield* Clock.currentTimeMillis
          const digest = createHash("sha256").update(token).digest("base64")
          const known = recall(digest, nowMs)
          if (known !== undefined) return known
          const header = headerOf(token)
          if (header.typ === "openshell-ext+jwt")
            return yield* new Unauthenticated({
              message: "extension tokens cannot authenticate to the gateway",
            })
          if (typeof header.kid !== "string")
            return yield* new Unauthenticated({ message: "invalid token: missing kid" })
          if (header.kid !== keys.kid)
            return yield* new Unauthenticated({ message: "invalid token: unknown signing key" })
          const { payload } = yield* Effect.tryPromise({
            try: async () => {
              const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"))
              // exp = 0 means that the token does not expire, which the library would read as 1970.
              const currentDate = claims?.exp === 0 ? new Date(0) : new Date(nowMs)
              return jwtVerify(token, keys.verifying, {
                issuer,
                audience: issuer,
                algorithms: ["EdDSA"],
                clockTolerance: clockToleranceSeconds,
                currentDate,
              })
            },
            catch: (cause) => new Unauthenticated({ message: `invalid token: ${reasonOf(cause)}` }),
          })
          const sandboxId = payload.sandbox_id
          if (typeof sandboxId !== "string" || sandboxId === "")
            return yield* new Unauthenticated({ message: "invalid token: InvalidToken" })
          const { exp } = payload
          const validUntilMs =
            exp === undefined || exp === 0 ? Number.POSITIVE_INFINITY : (exp + clockToleranceSeconds) * 1_000
          return remember(digest, { sandboxId, validUntilMs })
        }),
    })
  })

export const layer = (settings: SandboxTokenSettings): Layer.Layer<SandboxTokens, FailedPrecondition> =>
  Layer.effect(SandboxTokens, make(settings))
