/** Services beside the gateway that sandboxes speak to, and how often one may ask for credentials for them. */
import { Context, Effect, Layer } from "effect"
import { LimitReached } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"

export interface ExtensionService {
  readonly name: string
  /** Undefined: the service takes no credentials. */
  readonly audience: string | undefined
}

/** `name`: takes credentials for the audience of OpenShell's middleware of that name; `name=`: takes none. */
export const extensionService = (text: string): ExtensionService => {
  const name = text.replace(/=$/, "")
  return { name, audience: name === text ? `urn:openshell:extension:middleware:${name}` : undefined }
}

export class Extensions extends Context.Tag("holdfast/Extensions")<
  Extensions,
  {
    readonly service: (name: string) => ExtensionService | undefined
    /** Counts a refresh with extension services; LimitReached beyond `extensionMints` per `extensionMintWindowMs`. */
    readonly admit: (sandboxId: string, nowMs: number) => Effect.Effect<void, LimitReached>
  }
>() {
  static readonly layer = (services: ReadonlyArray<ExtensionService>): Layer.Layer<Extensions> =>
    Layer.sync(Extensions, () => {
      const byName = new Map(services.map((service) => [service.name, service]))
      /** Times of the admitted refreshes of the window, by sandbox; the longest unused first. */
      const admitted = new Map<string, ReadonlyArray<number>>()
      return {
        service: (name) => byName.get(name),
        admit: (sandboxId, nowMs) =>
          Effect.suspend(() => {
            const recent = (admitted.get(sandboxId) ?? []).filter(
              (atMs) => atMs > nowMs - limits.extensionMintWindowMs,
            )
            if (recent.length >= limits.extensionMints)
              return new LimitReached({
                message: "extension credential minting rate limit exceeded for this sandbox",
              })
            admitted.delete(sandboxId)
            const oldest = admitted.keys().next()
            if (admitted.size >= limits.extensionMinters && oldest.done !== true)
              admitted.delete(oldest.value)
            admitted.set(sandboxId, [...recent, nowMs])
            return Effect.void
          }),
      }
    })
}
