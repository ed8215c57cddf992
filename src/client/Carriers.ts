/** The relays of one stream: each opened through one connection, and what the answers of gateways mean. */
import { isDatabaseAway } from "../domain/Errors.ts"
import type { ForwardStart } from "../domain/Forward.ts"
import { limits } from "../domain/Limits.ts"
import { Status } from "../domain/Status.ts"
import { carrierKey, newIdentity } from "../stream/Proof.ts"
import type { ClientCall, GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import { forwardCall } from "../wire/openshell-v1/ProxyCalls.ts"

export interface RelayRequest {
  readonly sandboxId: string
  readonly kind: "ssh" | "tcp" | "exec"
  /** Label for the logs of gateways. */
  readonly serviceId: string
  /** Of kind `tcp`. */
  readonly target?: { readonly host: string; readonly port: number } | undefined
  /** Of kinds `ssh` and `tcp`: an SSH session token; `refused` when the gateway no longer takes the last one. */
  readonly token?: ((refused: boolean) => Promise<string>) | undefined
}

export interface OpenRelay {
  readonly call: ClientCall
  readonly connection: GrpcConnection
  /** Gateway and supervisor take it as a carrier of a resumable stream. */
  readonly resumable: boolean
}

/** Initial metadata by which a gateway says that the relay is a carrier. */
export const carrierHeader = "holdfast-stream"

/** Resolves when the gateway has joined the relay. Rejects with GrpcError. `signal` counts until then. */
const openRelay = async (
  connection: GrpcConnection,
  request: RelayRequest,
  by: Pick<ForwardStart, "token" | "carrier">,
  signal?: AbortSignal,
): Promise<OpenRelay> => {
  const call = connection.open(forwardCall.path)
  const cancel = (): void => call.cancel()
  if (signal?.aborted === true) cancel()
  signal?.addEventListener("abort", cancel, { once: true })
  try {
    const { sandboxId, serviceId, target } = request
    await call.write(
      forwardCall.encodeRequest({
        sandboxId,
        serviceId,
        target: target === undefined ? { kind: "ssh" } : { kind: "tcp", ...target },
        ...by,
      }),
    )
    await call.headers
    return { call, connection, resumable: call.metadata[carrierHeader] === "1" }
  } finally {
    signal?.removeEventListener("abort", cancel)
  }
}

/** Opens the relays of one stream, with a token that is replaced when the gateway refuses it. */
export class Opening {
  readonly identity = newIdentity()
  readonly #key = carrierKey(this.identity.id)
  readonly #request: RelayRequest
  readonly #extensions: boolean
  #token: string | undefined
  #opened = false

  /** Without `extensions` the relays are not offered as carriers, so that they are plain ones. */
  constructor(request: RelayRequest, extensions: boolean) {
    this.#request = request
    this.#extensions = extensions
  }

  async open(connection: GrpcConnection, signal: AbortSignal | undefined): Promise<OpenRelay> {
    const { token } = this.#request
    this.#token ??= (await token?.(false)) ?? ""
    for (let renewed = false; ; renewed = true) {
      signal?.throwIfAborted()
      try {
        const relay = await openRelay(
          connection,
          this.#request,
          { token: this.#token, ...this.#carrier },
          signal,
        )
        this.#opened = true
        return relay
      } catch (cause) {
        if (renewed || token === undefined || !isUnauthenticated(cause)) throw cause
        this.#token = await token(true)
      }
    }
  }

  get #carrier(): Pick<ForwardStart, "carrier"> {
    if (!this.#extensions) return {}
    const key = this.#key.toString("hex")
    return { carrier: { key, kind: this.#request.kind, resumed: this.#opened } }
  }
}

const isUnauthenticated = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNAUTHENTICATED

/**
 * Nothing has gone through the relay, so it may be asked for again: for a while when a replica was lost on its
 * way (the text is OpenShell's), a few times otherwise. A target that refuses keeps refusing.
 */
export const worthOpeningAgain = (cause: unknown, attempt: number, sinceMs: number): boolean => {
  if (!(cause instanceof GrpcError) || cause.code !== Status.UNAVAILABLE) return false
  // The link has asked another replica.
  if (isDatabaseAway(cause.message)) return false
  if (cause.message === "relay channel dropped") return sinceMs < limits.clientOpenMs
  return attempt < limits.clientCallAttempts && !/dial failed/.test(cause.message)
}

/** How gateways say that they, or the sandbox's supervisor, do not run commands this way. */
export const unknownToGateway = (cause: unknown): boolean =>
  cause instanceof GrpcError &&
  [Status.FAILED_PRECONDITION, Status.UNAUTHENTICATED, Status.INVALID_ARGUMENT].some(
    (code) => code === cause.code,
  )

const finalTags: ReadonlySet<string> = new Set(["NotFound", "PermissionDenied", "Unauthenticated"])

/** Answers to resumes, in order: which of them no further attempt will change. */
export class Verdicts {
  readonly #kind: RelayRequest["kind"]
  #notReadySinceMs: number | undefined

  constructor(kind: RelayRequest["kind"]) {
    this.#kind = kind
  }

  isFinal(cause: unknown): cause is Error {
    if (!(cause instanceof Error)) return false
    // A token was asked for through the library's own service.
    if ("_tag" in cause && typeof cause._tag === "string" && finalTags.has(cause._tag)) return true
    if (!(cause instanceof GrpcError)) return false
    const { code } = cause
    if (code === Status.FAILED_PRECONDITION) return this.#staysNotReady()
    this.#notReadySinceMs = undefined
    // A token was renewed already. An exec has none: a replica of another version may ask for it nevertheless.
    if (code === Status.UNAUTHENTICATED) return this.#kind !== "exec"
    return code === Status.PERMISSION_DENIED || code === Status.NOT_FOUND
  }

  /** A sandbox that was stopped stays so; one whose owner changes may seem so for a moment. */
  #staysNotReady(): boolean {
    const nowMs = performance.now()
    this.#notReadySinceMs ??= nowMs
    return nowMs - this.#notReadySinceMs >= limits.clientNotReadyMs
  }
}
