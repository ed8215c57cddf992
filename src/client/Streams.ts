/**
 * Byte streams into a sandbox. With a gateway and a supervisor that know our extension a stream is resumable:
 * it outlives the relay it rides on, and with it any replica. With OpenShell's the relay itself is the stream.
 *
 *   link ── ForwardTcp ──► any replica ──► supervisor      one carrier; lost, silent or asked to leave:
 *        └─ ForwardTcp ──► another     ──► supervisor      the next one, and the bytes go on where they were
 */
import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { connect } from "../stream/Connect.ts"
import type { StreamSettings } from "../stream/core/State.ts"
import { StreamRefused } from "../stream/Outcome.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import { clientLeg, watchedLeg } from "../wire/RelayLeg.ts"
import {
  Opening,
  type OpenRelay,
  type RelayRequest,
  unknownToGateway,
  Verdicts,
  worthOpeningAgain,
} from "./Carriers.ts"
import type { Link } from "./Link.ts"
import { type StallListener, tellStalls } from "./Stalls.ts"

export interface StreamRequest extends RelayRequest {
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
  const extensions = link.endpoint.extensions !== false
  if (!extensions && request.kind === "exec") return undefined
  const opening = new Opening(request, extensions)
  const relay = await link
    .call((connection) => opening.open(connection, request.signal), {
      attempts: limits.clientCallAttempts,
      signal: request.signal,
      again: worthOpeningAgain,
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
  let verdicts = new Verdicts(kind)

  const ride = (relay: OpenRelay): Duplex => {
    verdicts = new Verdicts(kind)
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
        if (!verdicts.isFinal(cause)) throw cause
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

/** Resolves with the promise or after the time, whichever is first. */
const atMost = (promise: Promise<void>, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
