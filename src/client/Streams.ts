/**
 * Byte streams into a sandbox. With a gateway and a supervisor that know our extension a stream is resumable:
 * it outlives the relay it rides on, and with it any replica. With OpenShell's the relay itself is the stream.
 *
 *   link ── ForwardTcp ──► any replica ──► supervisor      one carrier; lost, silent or asked to leave:
 *        └─ ForwardTcp ──► another     ──► supervisor      the next one, and the bytes go on where they were
 */
import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { Status } from "../domain/Status.ts"
import { connect } from "../stream/Connect.ts"
import type { StreamSettings } from "../stream/core/State.ts"
import { StreamRefused } from "../stream/Outcome.ts"
import { carrierKey, newIdentity } from "../stream/Proof.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import type { GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import { clientLeg, watchedLeg } from "../wire/RelayLeg.ts"
import { type OpenRelay, openRelay, type RelayRequest } from "./Carriers.ts"
import type { Link } from "./Link.ts"

/** `stalled`: without a carrier for a while. `resumed` follows, or `over` when the stream ended meanwhile. */
export type StallListener = (change: "stalled" | "resumed" | "over") => void

export interface StreamRequest extends RelayRequest {
  /** Of kinds `ssh` and `tcp`: an SSH session token; `refused` when the gateway no longer takes the last one. */
  readonly token?: ((refused: boolean) => Promise<string>) | undefined
  readonly onStall?: StallListener | undefined
  /** Gives the stream up, while it is opened or later. */
  readonly signal?: AbortSignal | undefined
  readonly settings?: Partial<StreamSettings> | undefined
}

export interface OpenStream {
  /** Half-open; an error destroys it. */
  readonly duplex: Duplex
  readonly resumable: boolean
  /** What an error of `duplex` means: a GrpcError or a StreamError where that is known. */
  readonly reason: (error: unknown) => Promise<unknown>
  /** Ends our direction, drops what still comes, and waits a moment until the other end knows. */
  readonly finish: () => Promise<void>
  /** Gives up what has not ended, and waits a moment until the other end knows. */
  readonly close: () => Promise<void>
}

/**
 * Opens a stream. Rejects with ConnectFailed or GrpcError while nothing has been sent through it; undefined for
 * kind `exec` where only ExecSandbox runs commands. What fails later comes as the Duplex's error.
 */
export function openStream(
  link: Link,
  request: StreamRequest & { readonly kind: "ssh" | "tcp" },
): Promise<OpenStream>
export function openStream(link: Link, request: StreamRequest): Promise<OpenStream | undefined>
export async function openStream(link: Link, request: StreamRequest): Promise<OpenStream | undefined> {
  const opening = new Opening(request)
  const relay = await link
    .call((connection) => opening.open(connection, request.signal), {
      attempts: limits.clientCallAttempts,
      signal: request.signal,
      again: passing,
    })
    .catch((cause: unknown) => {
      if (request.kind === "exec" && unknownToGateway(cause)) return undefined
      throw cause
    })
  if (relay === undefined) return undefined
  if (!relay.resumable && request.kind === "exec") {
    relay.call.cancel()
    return undefined
  }
  const stream = relay.resumable ? resumable(link, request, opening, relay) : plain(relay)
  onAbort(request.signal, () => stream.duplex.destroy())
  return stream
}

/** Opens the relays of one stream, with a token that is replaced when the gateway refuses it. */
class Opening {
  readonly identity = newIdentity()
  readonly #key = carrierKey(this.identity.id)
  readonly #request: StreamRequest
  #token: string | undefined

  constructor(request: StreamRequest) {
    this.#request = request
  }

  async open(connection: GrpcConnection, signal: AbortSignal | undefined): Promise<OpenRelay> {
    const { token } = this.#request
    this.#token ??= (await token?.(false)) ?? ""
    for (let renewed = false; ; renewed = true) {
      signal?.throwIfAborted()
      try {
        return await openRelay(connection, this.#request, { key: this.#key, token: this.#token }, signal)
      } catch (cause) {
        if (renewed || token === undefined || !isUnauthenticated(cause)) throw cause
        this.#token = await token(true)
      }
    }
  }
}

/** Nothing has gone through the relay, so it may be asked for again; a target that refuses keeps refusing. */
const passing = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNAVAILABLE && !/dial failed/.test(cause.message)

/** How gateways say that they, or the sandbox's supervisor, do not run commands this way. */
const unknownToGateway = (cause: unknown): boolean =>
  cause instanceof GrpcError &&
  [Status.FAILED_PRECONDITION, Status.UNAUTHENTICATED, Status.INVALID_ARGUMENT].some(
    (code) => code === cause.code,
  )

const onAbort = (signal: AbortSignal | undefined, stop: () => void): void => {
  if (signal?.aborted === true) stop()
  else signal?.addEventListener("abort", stop, { once: true })
}

const plain = ({ call }: OpenRelay): OpenStream => {
  const duplex = new RelayDuplex(clientLeg(call))
  // Whoever uses the stream listens as well.
  duplex.on("error", () => undefined)
  return {
    duplex,
    resumable: false,
    reason: async (error) => (call.stream.destroyed ? ((await call.status) ?? error) : error),
    finish: async () => {
      duplex.end().resume()
    },
    close: async () => {
      duplex.destroy()
    },
  }
}

const resumable = (link: Link, request: StreamRequest, opening: Opening, first: OpenRelay): OpenStream => {
  const { kind, target } = request
  let next: OpenRelay | undefined = first
  let last: Carried | undefined

  const ride = (relay: OpenRelay): Duplex => {
    last = carry(relay, () => stream.move())
    return last.duplex
  }
  const reopen = async (signal: AbortSignal): Promise<OpenRelay> => {
    const connection = await link.connection()
    signal.throwIfAborted()
    const silence = (): void => {
      if (!stream.destroyed) link.leave(connection)
    }
    signal.addEventListener("abort", silence, { once: true })
    try {
      const relay = await opening.open(connection, signal)
      if (relay.resumable) return relay
      relay.call.cancel()
      throw new Error("the gateway does not resume streams")
    } finally {
      signal.removeEventListener("abort", silence)
    }
  }
  const stream = connect({
    identity: opening.identity,
    kind,
    target: target === undefined ? "" : `${target.host}:${target.port}`,
    ...(request.settings === undefined ? {} : { settings: request.settings }),
    openCarrier: async (attempt, signal) => {
      const given = next
      next = undefined
      if (given !== undefined) return ride(given)
      if (last?.silent() === true && (stream.suspended || attempt > 1)) link.leave(last.connection)
      try {
        return ride(await reopen(signal))
      } catch (cause) {
        if (!isFinal(cause, kind)) throw cause
        stream.destroy(cause)
        throw new StreamRefused({ code: "denied", message: cause.message })
      }
    },
  })
  tellStalls(stream, request.onStall)
  return {
    duplex: stream,
    resumable: true,
    reason: async (error) => error,
    finish: () => {
      stream.end().resume()
      return atMost(stream.released, limits.clientFarewellMs)
    },
    close: async () => {
      stream.destroy()
      await atMost(stream.released, limits.clientFarewellMs)
    },
  }
}

/** A relay in use by a stream. */
interface Carried {
  readonly duplex: Duplex
  readonly connection: OpenRelay["connection"]
  /** Our end gave it up while the other had not: nothing was heard on it. */
  readonly silent: () => boolean
}

const carry = ({ call, connection }: OpenRelay, move: () => void): Carried => {
  let silent = false
  const duplex = new RelayDuplex(
    watchedLeg(call, () => {
      silent = true
    }),
  )
  duplex.once("close", connection.onLeaving(move))
  // Announced while the relay was being opened.
  if (connection.draining) setImmediate(move)
  return { duplex, connection, silent: () => silent }
}

const isUnauthenticated = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNAUTHENTICATED

/** Answers after which no replica will take the stream again. */
const isFinal = (cause: unknown, kind: StreamRequest["kind"]): cause is Error => {
  if (!(cause instanceof Error)) return false
  // A token was asked for through the library's own service.
  if ("_tag" in cause && (cause._tag === "NotFound" || cause._tag === "PermissionDenied")) return true
  if (!(cause instanceof GrpcError)) return false
  const { code } = cause
  // A token was renewed already. An exec has none: a replica of another version may ask for it nevertheless.
  if (code === Status.UNAUTHENTICATED) return kind !== "exec"
  return code === Status.PERMISSION_DENIED || code === Status.NOT_FOUND
}

const tellStalls = (stream: ResumableDuplex, onStall: StallListener | undefined): void => {
  if (onStall === undefined) return
  let timer: NodeJS.Timeout | undefined
  let told = false
  const settle = (how: "resumed" | "over"): void => {
    clearTimeout(timer)
    if (told) onStall(how)
    told = false
  }
  stream.on("suspended", () => {
    timer = setTimeout(() => {
      told = true
      onStall("stalled")
    }, limits.clientStallNoticeMs)
  })
  stream.on("resumed", () => settle("resumed"))
  stream.on("close", () => settle("over"))
}

/** Resolves with the promise or after the time, whichever is first. */
const atMost = (promise: Promise<void>, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
