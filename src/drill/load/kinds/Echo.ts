/** A TCP connection through a forward whose far end sends back what it gets. */
import net from "node:net"
import { Effect } from "effect"
import { limits } from "../../../domain/Limits.ts"
import { Checker } from "../../check/Checker.ts"
import { randomContent } from "../../check/Content.ts"
import { StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"
import { Sender } from "../Sender.ts"

/** Every so many pieces one is larger, so that relays also see a message in several frames. */
const largeEvery = 10
const largeFactor = 16

export const echo: StreamLife = (context) =>
  Effect.flatMap(context.forwardTo(context.place.tcpPort), (port) => converse(context, port))

const converse = (context: StreamContext, port: number): Effect.Effect<void, StreamBroken> =>
  Effect.async((resume) => {
    const { pace, stall, tally } = context
    const content = randomContent(context.seed)
    const sender = new Sender(content)
    const checker = new Checker(content)
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true })
    let pieces = 0
    let ending = false

    const tick = (): void => {
      if (ending) return
      if (context.stopping()) {
        ending = true
        stall.expect(performance.now())
        socket.end()
        return
      }
      if (sender.sent - checker.received >= limits.drillInFlightBytes) return
      pieces += 1
      const bytes = pieces % largeEvery === 0 ? pace.pieceBytes * largeFactor : pace.pieceBytes
      stall.expect(performance.now())
      socket.write(sender.piece(bytes))
    }
    const timer = setInterval(tick, pace.intervalMs)
    const finish = (broken: StreamBroken | undefined): void => {
      clearInterval(timer)
      socket.removeAllListeners("close")
      socket.destroy()
      if (broken === undefined) {
        stall.satisfied(performance.now())
        tally.whole(checker, sender.sent, sender.sha256())
        resume(Effect.void)
        return
      }
      tally.partial(checker)
      resume(Effect.fail(broken))
    }

    let reason = "the connection was closed"
    socket.on("data", (chunk) => {
      checker.push(chunk)
      tally.works()
      if (checker.received >= sender.sent && !ending) stall.satisfied(performance.now())
      else stall.progress(performance.now())
    })
    socket.on("error", (error) => {
      reason = error.message
    })
    socket.once("end", () => finish(ending ? undefined : new StreamBroken(`echo: ${reason}`)))
    socket.once("close", () => finish(new StreamBroken(`echo: ${reason}`)))
    return Effect.sync(() => {
      clearInterval(timer)
      socket.removeAllListeners("close")
      socket.destroy()
    })
  })
