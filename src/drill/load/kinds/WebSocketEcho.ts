/** A WebSocket through a forward; the far end sends each message back. */
import { Effect } from "effect"
import { limits } from "../../../domain/Limits.ts"
import { Checker } from "../../check/Checker.ts"
import { randomContent } from "../../check/Content.ts"
import { StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"
import { Sender } from "../Sender.ts"

/** RFC 6455, section 7.4.1 */
const normalClosure = 1_000

export const webSocketEcho: StreamLife = (context) =>
  Effect.flatMap(context.forwardTo(context.place.webPort), (port) => converse(context, port))

const converse = (context: StreamContext, port: number): Effect.Effect<void, StreamBroken> =>
  Effect.async((resume) => {
    const { stall, tally, pace } = context
    const content = randomContent(context.seed)
    const sender = new Sender(content)
    const checker = new Checker(content)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
    socket.binaryType = "arraybuffer"
    let ending = false
    const tick = (): void => {
      if (socket.readyState !== WebSocket.OPEN || ending) return
      const owed = sender.sent - checker.received
      if (context.stopping() && owed === 0) {
        ending = true
        stall.expect(performance.now())
        socket.close(normalClosure)
        return
      }
      if (context.stopping() || owed >= limits.drillInFlightBytes) return
      stall.expect(performance.now())
      socket.send(new Uint8Array(sender.piece(pace.pieceBytes)))
    }
    const timer = setInterval(tick, pace.intervalMs)
    socket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return
      checker.push(new Uint8Array(data))
      tally.works()
      if (checker.received >= sender.sent) stall.satisfied(performance.now())
      else stall.progress(performance.now())
    }
    socket.onclose = ({ code }) => {
      clearInterval(timer)
      stall.satisfied(performance.now())
      if (ending && code === normalClosure) {
        tally.whole(checker, sender.sent, sender.sha256())
        return resume(Effect.void)
      }
      tally.partial(checker)
      resume(Effect.fail(new StreamBroken(`websocket: closed with code ${code}`)))
    }
    return Effect.sync(() => {
      clearInterval(timer)
      socket.onclose = null
      socket.close()
    })
  })
