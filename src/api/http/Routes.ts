/** Everything that a listener answers over HTTP: services by their host names, and a few paths of the gateway. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2"
import { Effect } from "effect"
import { SandboxTokens } from "../../auth/SandboxTokens.ts"
import type { HttpHandlers } from "../../wire/grpc/HttpSide.ts"
import { pages } from "./Pages.ts"
import { ServiceRoutes } from "./ServiceRoutes.ts"
import { refuseStream } from "./Upgrade.ts"

type Handle = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
) => void

const nothingHere = { status: 404, text: "not found" }

/** `loopback`: the listener is bound to a loopback address. */
export const httpHandlers = (
  loopback: boolean,
): Effect.Effect<HttpHandlers, never, SandboxTokens | ServiceRoutes> =>
  Effect.gen(function* () {
    const tokens = yield* SandboxTokens
    const services = yield* ServiceRoutes
    const handle: Handle = (request, response) => {
      if (services.request(request, response, loopback)) return
      const answer = (status: number, type: string, body: string): void => {
        response.statusCode = status
        response.setHeader("content-type", type)
        response.end(body)
      }
      // Public keys of the sandbox tokens, for whoever verifies them elsewhere (wire contract 4.2).
      if (request.method === "GET" && request.url === "/.well-known/jwks.json")
        return answer(200, "application/json", JSON.stringify(tokens.jwks))
      answer(nothingHere.status, "text/plain", `${nothingHere.text}\n`)
    }
    return {
      fallback: handle,
      fallbackHttp2: handle,
      onUpgrade: (request, socket, head) => services.upgrade(request, socket, head, loopback),
      onConnect: (stream, headers) => {
        if (!services.connect(stream, headers, loopback)) refuseStream(stream, pages.badRequest)
      },
    }
  })
