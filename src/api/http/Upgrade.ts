/** Connections that turn into WebSockets, or into anything else: from then on only bytes pass. */

import { randomBytes } from "node:crypto"
import { type IncomingMessage, STATUS_CODES } from "node:http"
import { constants, type ServerHttp2Stream } from "node:http2"
import type { Duplex } from "node:stream"
import { ask, type CountBytes, idleTimer } from "./Exchange.ts"
import { type Page, pages } from "./Pages.ts"
import { type FlatHeaders, toClient } from "./RequestHeaders.ts"

const headOf = (
  status: number,
  text: string,
  headers: Iterable<readonly [string, ReadonlyArray<string>]>,
) => {
  const lines = [`HTTP/1.1 ${status} ${text}`]
  for (const [name, values] of headers) for (const value of values) lines.push(`${name}: ${value}`)
  return `${lines.join("\r\n")}\r\n\r\n`
}

/** Answers a request to upgrade with a page of the gateway. */
export const refuseUpgrade = (socket: Duplex, { status, text }: Page): void => {
  if (socket.destroyed) return
  const body = `${text}\n`
  socket.end(
    headOf(status, STATUS_CODES[status] ?? "", [
      ["connection", ["close"]],
      ["content-type", ["text/plain; charset=utf-8"]],
      ["content-length", [String(Buffer.byteLength(body))]],
    ]) + body,
  )
}

/** Who is told of what moves. */
interface Watch {
  readonly count: CountBytes
  readonly touch: () => void
}

/** Joins both; the end of one direction passes on, the loss of one end cuts the other. */
const splice = (client: Duplex, application: Duplex, { count, touch }: Watch): void => {
  client.on("data", (chunk: Buffer) => {
    touch()
    count("in", chunk.length)
  })
  application.on("data", (chunk: Buffer) => {
    touch()
    count("out", chunk.length)
  })
  client.on("error", () => application.destroy())
  application.on("error", () => client.destroy())
  client.once("close", () => {
    if (!application.writableFinished) application.destroy()
  })
  application.once("close", () => {
    if (!client.writableEnded) client.destroy()
  })
  client.pipe(application)
  application.pipe(client)
}

/** What stands between the two until the application has agreed. Resolves with its status, 0 when the client left. */
const negotiate = (
  connection: Duplex,
  request: Parameters<typeof ask>[1],
  headers: FlatHeaders,
  client: Duplex,
  on: {
    readonly agreed: (answer: IncomingMessage, application: Duplex, head: Buffer, touch: () => void) => void
    readonly declined: (answer: IncomingMessage) => void
    readonly failed: () => void
  },
): Promise<number> =>
  new Promise((resolve) => {
    let settled = false
    const touch = idleTimer(connection)
    const settle = (status: number, then?: () => void): void => {
      if (settled) return
      settled = true
      client.off("close", left)
      then?.()
      resolve(status)
    }
    const left = (): void => {
      connection.destroy()
      settle(0)
    }
    client.once("close", left)
    const upstream = ask(connection, request, headers)
    upstream.once("upgrade", (answer, application, head) =>
      settle(101, () => on.agreed(answer, application, head, touch)),
    )
    upstream.once("response", (answer) => settle(answer.statusCode ?? 502, () => on.declined(answer)))
    upstream.on("error", () => settle(502, on.failed))
    upstream.once("close", () => settle(502, on.failed))
    upstream.end()
  })

/** HTTP/1.1: the client's connection itself changes its protocol. */
export const upgradeHttp1 = (
  connection: Duplex,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  headers: FlatHeaders,
  count: CountBytes,
): Promise<number> =>
  negotiate(
    connection,
    request,
    [...headers, "connection", "Upgrade", "upgrade", request.headers.upgrade ?? "websocket"],
    client,
    {
      agreed: (answer, application, early, touch) => {
        const upgrade = answer.headers.upgrade ?? "websocket"
        client.write(
          headOf(101, "Switching Protocols", [
            ["connection", ["Upgrade"]],
            ["upgrade", [upgrade]],
            ...toClient(answer.headersDistinct),
          ]),
        )
        if (early.length > 0) client.write(early)
        if (head.length > 0) application.write(head)
        splice(client, application, { count, touch })
      },
      declined: (answer) => {
        const status = answer.statusCode ?? 502
        client.write(
          headOf(status, answer.statusMessage ?? "", [
            ["connection", ["close"]],
            ...toClient(answer.headersDistinct),
          ]),
        )
        client.once("close", () => connection.destroy())
        answer.once("close", () => {
          if (!answer.complete) client.destroy()
        })
        answer.on("error", () => undefined)
        answer.pipe(client)
      },
      failed: () => refuseUpgrade(client, pages.notReachable),
    },
  )

/** HTTP/2: one stream of the client's connection becomes the WebSocket (RFC 8441). */
export const upgradeHttp2 = (
  connection: Duplex,
  request: Parameters<typeof ask>[1],
  client: ServerHttp2Stream,
  headers: FlatHeaders,
  count: CountBytes,
): Promise<number> => {
  /** False when the client has left, or Node does not pass on what the application says. */
  const answerWith = (status: number, pairs: ReturnType<typeof toClient>): boolean => {
    try {
      client.respond({
        ":status": status,
        ...Object.fromEntries(pairs.map(([name, values]) => [name, [...values]])),
      })
      return true
    } catch {
      client.close(constants.NGHTTP2_INTERNAL_ERROR)
      connection.destroy()
      return false
    }
  }
  return negotiate(
    connection,
    request,
    [
      ...headers,
      ...["connection", "Upgrade", "upgrade", "websocket"],
      // HTTP/2 has no such handshake; the application's answer to ours is of no interest to the client.
      ...["sec-websocket-key", randomBytes(16).toString("base64")],
    ],
    client,
    {
      agreed: (answer, application, early, touch) => {
        const said = toClient(answer.headersDistinct).filter(([name]) => name !== "sec-websocket-accept")
        if (!answerWith(200, said)) return
        if (early.length > 0) client.write(early)
        splice(client, application, { count, touch })
      },
      declined: (answer) => {
        answer.on("error", () => undefined)
        if (!answerWith(answer.statusCode ?? 502, toClient(answer.headersDistinct))) return
        client.once("close", () => connection.destroy())
        answer.once("close", () => {
          if (!answer.complete) client.close(constants.NGHTTP2_INTERNAL_ERROR)
        })
        answer.on("error", () => undefined)
        answer.pipe(client)
      },
      failed: () => refuseStream(client, pages.notReachable),
    },
  )
}

/** Answers a stream with a page of the gateway. */
export const refuseStream = (stream: ServerHttp2Stream, { status, text }: Page): void => {
  if (stream.destroyed || stream.closed) return
  stream.respond({ ":status": status, "content-type": "text/plain; charset=utf-8" })
  stream.end(`${text}\n`)
}
