/** Asks an inference endpoint whether it takes a provider's key. */
import { Effect } from "effect"
import { FailedPrecondition } from "../domain/Errors.ts"
import type { ValidatedEndpoint } from "../domain/Inference.ts"
import { limits } from "../domain/Limits.ts"
import type { ProfileInference } from "../domain/ProviderProfile.ts"

/** What the transport says, without a URL or a header in it. */
const reasonOf = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  if (typeof inner === "object" && inner !== null && "code" in inner && typeof inner.code === "string")
    return inner.code
  return inner instanceof Error ? inner.name : "no answer"
}

/**
 * One request for the list of models: it costs nothing and needs the key. Nothing of the answer but its status is
 * looked at, and no redirect is followed, because the request carries the key.
 */
export const probe = (
  { headers, protocols }: ProfileInference,
  baseUrl: string,
  apiKey: string,
): Effect.Effect<ReadonlyArray<ValidatedEndpoint>, FailedPrecondition> => {
  const url = `${baseUrl.replace(/\/+$/, "")}/models`
  const failed = (reason: string) =>
    new FailedPrecondition({
      message: `inference endpoint verification failed: ${url}: ${reason}; set the route without verification to skip this`,
    })
  return Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(url, {
        headers: { ...headers(apiKey), accept: "application/json" },
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(limits.inferenceVerifyMs)]),
      })
      await response.body?.cancel()
      return response.status
    },
    catch: (cause) => failed(reasonOf(cause)),
  }).pipe(
    Effect.flatMap((status) =>
      status >= 200 && status < 300
        ? Effect.succeed([{ url: baseUrl, protocol: protocols[0] ?? "" }])
        : Effect.fail(
            failed(status === 401 || status === 403 ? `the key is refused (${status})` : `HTTP ${status}`),
          ),
    ),
  )
}
