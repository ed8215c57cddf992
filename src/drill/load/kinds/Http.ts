/** Requests with bodies over one kept-alive connection through a forward; each answer is its request's body. */
import http from "node:http"
import type { Socket } from "node:net"
import { Effect, Either } from "effect"
import { limits } from "../../../domain/Limits.ts"
import { Checker } from "../../check/Checker.ts"
import { randomContent } from "../../check/Content.ts"
import { brokenBy, StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"
import { Sender } from "../Sender.ts"

interface Conversation {
  readonly port: number
  readonly agent: http.Agent
  readonly sender: Sender
  readonly checker: Checker
  /** The connection of the first request; another one later means that it was lost. */
  socket: Socket | undefined
}

export const httpRequests: StreamLife = (context) =>
  Effect.gen(function* () {
    const { stall, tally, seed, pace } = context
    const port = yield* context.forwardTo(context.place.webPort)
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => new http.Agent({ keepAlive: true, maxSockets: 1 })),
      (pool) => Effect.sync(() => pool.destroy()),
    )
    const content = randomContent(seed)
    const sender = new Sender(content)
    const conversation: Conversation = {
      ...{ port, agent, sender, socket: undefined },
      checker: new Checker(content),
    }
    const { checker } = conversation
    while (!context.stopping()) {
      stall.expect(performance.now())
      const answered = yield* Effect.either(request(context, conversation))
      stall.satisfied(performance.now())
      if (Either.isLeft(answered)) {
        tally.partial(checker)
        return yield* Effect.fail(new StreamBroken(`http: ${answered.left.text}`))
      }
      tally.works()
      yield* Effect.sleep(pace.intervalMs)
    }
    tally.whole(checker, sender.sent, sender.sha256())
  })

const request = (context: StreamContext, conversation: Conversation): Effect.Effect<void, StreamBroken> =>
  Effect.async<void, StreamBroken>((resume) => {
    const { port, agent, sender, checker } = conversation
    const body = sender.piece(context.pace.pieceBytes)
    const broken = (cause: unknown): void => resume(Effect.fail(brokenBy(cause)))
    const asking = http.request(
      { host: "127.0.0.1", port, agent, method: "POST", headers: { "content-length": body.length } },
      (response) => {
        response.on("data", (chunk: Buffer) => {
          checker.push(chunk)
          context.stall.progress(performance.now())
        })
        response.once("error", broken)
        response.once("end", () => {
          if (response.statusCode === 200) resume(Effect.void)
          else broken(new StreamBroken(`status ${response.statusCode}`))
        })
      },
    )
    asking.once("socket", (socket) => {
      if (conversation.socket !== undefined && conversation.socket !== socket) {
        broken(new StreamBroken("the kept-alive connection was closed"))
        asking.destroy()
      }
      conversation.socket = socket
    })
    asking.once("error", broken)
    asking.end(body)
    return Effect.sync(() => asking.destroy())
  }).pipe(
    Effect.timeoutFail({
      duration: limits.drillAnswerMs,
      onTimeout: () => new StreamBroken(`no answer within ${limits.drillAnswerMs / 1_000} s`),
    }),
  )
