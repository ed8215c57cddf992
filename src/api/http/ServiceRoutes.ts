/** Requests for services, told from all others by their host name, on any listener and either HTTP. */
import type { IncomingMessage } from "node:http"
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2"
import type { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import { Cause, Context, Effect, Exit, Layer, Option, Runtime } from "effect"
import { isPublicError } from "../../domain/Errors.ts"
import { serviceOfHost } from "../../domain/ServiceHost.ts"
import { Metrics } from "../../observe/Metrics.ts"
import { ServiceSettings } from "../ServiceSettings.ts"
import { exchange, type HttpRequest, type HttpResponse, isHttp2, sendPage } from "./Exchange.ts"
import { type Page, pageOf, pages } from "./Pages.ts"
import { isCrossOrigin, type Origin, toApplication } from "./RequestHeaders.ts"
import { ServiceGate } from "./ServiceGate.ts"
import { refuseStream, refuseUpgrade, upgradeHttp1, upgradeHttp2 } from "./Upgrade.ts"

/** What of a request decides about it. */
interface Facts {
  readonly method: string
  readonly headers: NodeJS.Dict<string[]>
  readonly origin: Origin
}

const encrypted = (socket: unknown): boolean => socket instanceof TLSSocket

const factsOf = (request: HttpRequest): Facts => {
  const host = request.headers[":authority"] ?? request.headers.host ?? ""
  const headers: NodeJS.Dict<string[]> = isHttp2(request)
    ? distinct(request.headers)
    : request.headersDistinct
  const socket = isHttp2(request) ? request.stream.session?.socket : request.socket
  const secure = isHttp2(request) ? request.stream.session?.encrypted === true : encrypted(socket)
  return {
    method: request.method ?? "GET",
    headers,
    origin: {
      host: Array.isArray(host) ? (host[0] ?? "") : host,
      protocol: secure ? "https" : "http",
      remoteAddress: socket?.remoteAddress,
    },
  }
}

/** HTTP/2 joins what came in several fields, but for cookies of answers. */
const distinct = (headers: IncomingHttpHeaders): NodeJS.Dict<string[]> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value : [value]]],
    ),
  )

/** Lets a request to a stream look like any other. */
type Refuse = (page: Page) => void

const make = Effect.gen(function* () {
  const settings = yield* ServiceSettings
  const gate = yield* ServiceGate
  const metrics = yield* Metrics
  const runtime = yield* Effect.runtime<never>()

  const count = (direction: "in" | "out", bytes: number): void => {
    metrics.relayBytes.inc({ direction }, bytes)
    metrics.streamBytes.inc({ kind: "http", direction }, bytes)
  }

  /** Why the gateway answers itself; undefined when the service may be asked. */
  const refusal = ({ method, headers, origin }: Facts, loopback: boolean): Page | undefined => {
    if (origin.protocol === "https") return undefined
    if (!loopback || !settings.loopbackHttp) return pages.notAvailable
    return isCrossOrigin(method, headers, origin) ? pages.crossOrigin : undefined
  }

  /** Opens the way to the service and uses it; whatever goes wrong before is a page. */
  const serve = async (
    facts: Facts,
    loopback: boolean,
    client: Duplex | HttpResponse,
    refuse: Refuse,
    use: (connection: Duplex, headers: Array<string>) => Promise<number>,
  ): Promise<void> => {
    const name = serviceOfHost(facts.origin.host, settings.domains)
    const answer = (page: Page): void => {
      observe(page.status)
      refuse(page)
    }
    if (typeof name === "string") return answer(pages.badHost)
    const page = refusal(facts, loopback)
    if (page !== undefined) return answer(page)
    const abort = new AbortController()
    const left = (): void => abort.abort()
    client.once("close", left)
    const exit = await Runtime.runPromiseExit(runtime)(gate.open(name), { signal: abort.signal })
    client.off("close", left)
    if (Exit.isFailure(exit)) {
      if (abort.signal.aborted) return observe(0)
      const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
      return answer(isPublicError(error) ? pageOf(error) : pages.internal)
    }
    const connection = exit.value
    if (abort.signal.aborted) {
      connection.destroy()
      return observe(0)
    }
    try {
      observe(await use(connection, toApplication(facts.headers, facts.origin)))
    } catch {
      // Node does not send what is no request, such as a path with blanks that came by HTTP/2.
      connection.destroy()
      answer(pages.badRequest)
    }
  }

  const observe = (status: number): void =>
    metrics.serviceRequests.inc({ status: `${Math.floor(status / 100)}xx` })

  const isService = (host: string): boolean => serviceOfHost(host, settings.domains) !== "foreign"

  return {
    /** Whether the request is for a service; then it is answered. `loopback`: the listener is bound to loopback. */
    request: (request: HttpRequest, response: HttpResponse, loopback: boolean): boolean => {
      const facts = factsOf(request)
      if (!isService(facts.origin.host)) return false
      void serve(
        facts,
        loopback,
        response,
        (page) => sendPage(response, page),
        (connection, headers) => exchange(connection, request, response, headers, count),
      )
      return true
    },
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, loopback: boolean): boolean => {
      const facts = factsOf(request)
      if (!isService(facts.origin.host)) return false
      void serve(
        facts,
        loopback,
        socket,
        (page) => refuseUpgrade(socket, page),
        (connection, headers) => upgradeHttp1(connection, request, socket, head, headers, count),
      )
      return true
    },
    connect: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, loopback: boolean): boolean => {
      const { session } = stream
      const facts: Facts = {
        method: "GET",
        headers: distinct(headers),
        origin: {
          host: headers[":authority"] ?? "",
          protocol: session?.encrypted === true ? "https" : "http",
          remoteAddress: session?.socket.remoteAddress,
        },
      }
      if (!isService(facts.origin.host) || headers[":protocol"] !== "websocket") return false
      const asked = { method: "GET", url: headers[":path"] ?? "/" }
      void serve(
        facts,
        loopback,
        stream,
        (page) => refuseStream(stream, page),
        (connection, flat) => upgradeHttp2(connection, asked, stream, flat, count),
      )
      return true
    },
  } as const
})

export class ServiceRoutes extends Context.Tag("holdfast/ServiceRoutes")<
  ServiceRoutes,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(ServiceRoutes, make)
}
