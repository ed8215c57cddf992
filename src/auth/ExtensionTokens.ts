/** Tokens with which a sandbox speaks to services beside the gateway (wire contract 4.2); the gateway refuses them. */
import { createHash, createPublicKey, randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { importPKCS8, SignJWT } from "jose"
import { FailedPrecondition, Internal } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { SandboxToken, SandboxTokenSettings } from "./SandboxTokens.ts"

/** Set apart from sandbox tokens, which the same key signs. */
export const extensionTokenType = "openshell-ext+jwt"

export class ExtensionTokens extends Context.Tag("holdfast/ExtensionTokens")<
  ExtensionTokens,
  {
    readonly mint: (sandboxId: string, audience: string) => Effect.Effect<SandboxToken, Internal>
  }
>() {}

const make = ({ directory, gatewayId }: Pick<SandboxTokenSettings, "directory" | "gatewayId">) =>
  Effect.gen(function* () {
    const { kid, signing } = yield* Effect.tryPromise({
      try: async () => {
        const key = createPublicKey(await readFile(join(directory, "public.pem"), "utf8"))
        const spki = key.export({ type: "spki", format: "der" })
        return {
          kid: createHash("sha256").update(spki).digest("hex").slice(0, 32),
          signing: await importPKCS8(await readFile(join(directory, "signing.pem"), "utf8"), "EdDSA"),
        }
      },
      catch: (cause) =>
        new FailedPrecondition({
          message: `cannot read the token keys in ${directory}: ${cause instanceof Error ? cause.message : cause}`,
        }),
    })
    return ExtensionTokens.of({
      mint: (sandboxId, audience) =>
        Effect.gen(function* () {
          const nowMs = yield* Clock.currentTimeMillis
          const expiresAtMs = nowMs + limits.extensionTokenTtlMs
          const token = yield* Effect.tryPromise({
            try: () =>
              new SignJWT({ sandbox_id: sandboxId, caller_kind: "sandbox" })
                .setProtectedHeader({ alg: "EdDSA", typ: extensionTokenType, kid })
                .setIssuer(`openshell-gateway:${gatewayId}`)
                .setAudience(audience)
                .setSubject(`spiffe://openshell/sandbox/${sandboxId}`)
                .setJti(randomUUID())
                .setIssuedAt(Math.floor(nowMs / 1_000))
                .setExpirationTime(Math.floor(expiresAtMs / 1_000))
                .sign(signing),
            catch: () => new Internal({ message: "the extension token could not be signed" }),
          })
          return { token: Redacted.make(token), expiresAtMs }
        }),
    })
  })

export const layer = (
  settings: Pick<SandboxTokenSettings, "directory" | "gatewayId">,
): Layer.Layer<ExtensionTokens, FailedPrecondition> => Layer.effect(ExtensionTokens, make(settings))
