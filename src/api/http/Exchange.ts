/** One request through one connection to the application, both ways at once. Node's own client speaks HTTP/1.1. */
import http, { type IncomingMessage, type ServerResponse } from "node:http"
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2"
import type { Duplex } from "node:stream"
import { limits } from "../../domain/Limits.ts"
import { type Page, pages } from "./Pages.ts"
import { type FlatHeaders, toClient } from "./RequestHeaders.ts"

export type HttpRequest = IncomingMessage | Http2ServerRequest
export type HttpResponse = ServerResponse | Http2ServerResponse

export const isHttp2 = <A extends HttpRequest | HttpResponse>(
  it: A,
): it is Extract<A, Http2ServerRequest | Http2ServerResponse> => "stream" in it

export type CountBytes = (direction: "in" | "out", bytes: number) => void

/** What is said may be more than Node is willing to pass on, such as a status of 999, and the other end gone. */
const possible = (act: () => void): boolean => {
  try {
    act()
    return true
  } catch {
    return false
  }
}

/** Answers in place of a service. */
export const sendPage = (response: HttpResponse, page: Page): void => {
  if (!response.headersSent && !response.writableEnded) possible(() => writePage(response, page))
}

const writePage = (response: HttpResponse, { status, text }: Page): void => {
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  response.statusCode = status
  if (!isHttp2(response)) response.statusMessage = ""
  response.setHeader("content-type", "text/plain; charset=utf-8")
  if (status === 503) response.setHeader("retry-after", "1")
  response.end(`${text}\n`)
}

/** Ends an answer that has begun so that nobody takes it for complete. */
const breakOff = (response: HttpResponse): void => {
  if (isHttp2(response)) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  else response.destroy()
}

/** Node sends what it is told: how the body is delimited has to be said for methods that rarely have one. */
const framing = (request: HttpRequest): FlatHeaders => {
  if (request.headers["content-length"] !== undefined) return []
  const hasBody = isHttp2(request)
    ? !request.stream.endAfterHeaders
    : request.headers["transfer-encoding"] !== undefined
  if (hasBody) return ["transfer-encoding", "chunked"]
  return /^(POST|PUT|PATCH)$/.test(request.method ?? "") ? ["content-length", "0"] : []
}

/** Ends the connection when nothing moves for long; `touch` is told whatever moves. */
export const idleTimer = (connection: Duplex) => {
  const timer = setTimeout(() => connection.destroy(new Error("nothing moved")), limits.serviceIdleMs)
  connection.once("close", () => clearTimeout(timer))
  return () => void timer.refresh()
}

/** Asks the application over that connection, which is used for nothing else. May throw for an odd request. */
export const ask = (
  connection: Duplex,
  request: { readonly method?: string | undefined; readonly url?: string | undefined },
  headers: FlatHeaders,
) =>
  http.request({
    createConnection: () => connection,
    method: request.method ?? "GET",
    path: request.url ?? "/",
    headers,
    setHost: false,
    maxHeaderSize: limits.httpHeaderBytes,
  })

/** Status and headers, at once: an application may think for long after them. */
const begin = (response: HttpResponse, answer: IncomingMessage): void => {
  response.statusCode = answer.statusCode ?? 502
  if (!isHttp2(response)) response.statusMessage = answer.statusMessage ?? ""
  for (const [name, values] of toClient(answer.headersDistinct))
    response.setHeader(name, values.length === 1 ? (values[0] ?? "") : [...values])
  if (isHttp2(response)) response.writeHead(response.statusCode)
  else response.flushHeaders()
}

/** Resolves with the status that the client got, or 0 when it left first; the connection is closed soon after. */
export const exchange = (
  connection: Duplex,
  request: HttpRequest,
  response: HttpResponse,
  headers: FlatHeaders,
  count: CountBytes,
): Promise<number> =>
  new Promise((resolve) => {
    const touch = idleTimer(connection)
    let answered = false
    let complete = false
    let gone = false
    const end = (status: number): void => {
      request.unpipe(upstream)
      linger(connection, request, complete)
      resolve(status)
    }
    const upstream = ask(connection, request, [...headers, ...framing(request), "connection", "close"])
    const fail = (): void => {
      if (answered || gone) return
      answered = true
      sendPage(response, pages.notReachable)
    }
    upstream.on("error", fail)
    upstream.on("close", fail)
    upstream.on("continue", () => {
      // The client may have left without having said so yet.
      if (!gone && !answered) possible(() => response.writeContinue())
    })
    upstream.on("response", (answer) => {
      if (answered || gone) return void answer.destroy()
      answered = true
      answer.on("data", (chunk: Buffer) => {
        touch()
        count("out", chunk.length)
      })
      answer.once("end", () => {
        complete = answer.complete
        // Before the pipe ends the response.
        if (complete && !gone) possible(() => response.addTrailers(answer.trailers))
      })
      answer.on("error", () => breakOff(response))
      answer.once("close", () => {
        if (!answer.complete) breakOff(response)
      })
      if (possible(() => begin(response, answer))) answer.pipe(response)
      else if (!gone) {
        answer.destroy()
        if (response.headersSent) breakOff(response)
        else sendPage(response, pages.notReachable)
      }
    })
    request.on("data", (chunk: Buffer) => {
      touch()
      count("in", chunk.length)
    })
    request.once("end", () => possible(() => upstream.addTrailers(request.trailers)))
    request.on("error", () => connection.destroy())
    // Of a client that left while it was being answered.
    response.on("error", () => undefined)
    response.once("close", () => {
      gone = true
      if (!complete && !response.writableEnded) connection.destroy()
      end(response.headersSent ? response.statusCode : 0)
    })
    request.pipe(upstream)
  })

/** After the answer: what is left of the request is read and dropped, so that the client reads the answer. */
const linger = (connection: Duplex, request: HttpRequest, complete: boolean): void => {
  if (!complete) connection.destroy()
  const timer = setTimeout(() => {
    connection.destroy()
    if (!request.complete) request.destroy()
  }, limits.serviceLingerMs)
  const settled = (): void => {
    if (connection.destroyed && (request.complete || request.destroyed)) clearTimeout(timer)
  }
  connection.once("close", settled)
  request.once("close", settled)
  request.resume()
  connection.resume()
  settled()
}
