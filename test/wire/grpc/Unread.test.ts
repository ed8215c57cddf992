/** A client that does not read a complete answer does not keep its call for ever. */
import { once } from "node:events"
import { connect } from "node:http2"
import { afterEach, expect, it, vi } from "vitest"
import { limits } from "../../../src/domain/Limits.ts"
import { encodeFrame } from "../../../src/wire/grpc/Framing.ts"
import type { MethodHandler, ServerCall } from "../../../src/wire/grpc/GrpcServer.ts"
import { startServer } from "./TestServer.ts"

afterEach(() => {
  vi.useRealTimers()
})

/** Answers with more than the client's window takes; `ends`: how it completes the answer. */
const large = (calls: Array<ServerCall>, ends: (call: ServerCall) => void): MethodHandler => ({
  kind: "streaming",
  handle: async (call) => {
    calls.push(call)
    call.sendHeaders()
    call.stream.write(encodeFrame(Buffer.alloc(1_048_576)))
    ends(call)
    await once(call.stream, "close")
  },
})

const request = {
  ":method": "POST",
  ":path": "/t/Large",
  te: "trailers",
  "content-type": "application/grpc",
}

const untilCalled = async (calls: ReadonlyArray<ServerCall>): Promise<ServerCall> => {
  for (let turn = 0; turn < 100_000; turn++) {
    const [call] = calls
    if (call !== undefined) return call
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error("the call did not arrive")
}

it.each([
  ["answer", (call: ServerCall) => call.finish()],
  ["half of the call", (call: ServerCall) => call.endResponse()],
] as const)("an unread %s is reset after its time and not before", async (_, ends) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  const calls: Array<ServerCall> = []
  const { url } = await startServer({ "/t/Large": large(calls, ends) })
  const session = connect(url)
  try {
    const stream = session.request(request)
    stream.on("error", () => undefined)
    stream.pause()
    const call = await untilCalled(calls)
    vi.advanceTimersByTime(limits.answerFlushMs - 1)
    expect(call.stream.closed).toBe(false)
    vi.advanceTimersByTime(1)
    expect(call.stream.closed).toBe(true)
  } finally {
    session.destroy()
  }
})

it("a read half leaves the other half of its call alone, however long that takes", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  const calls: Array<ServerCall> = []
  const { url } = await startServer({ "/t/Large": large(calls, (call) => call.endResponse()) })
  const session = connect(url)
  try {
    const stream = session.request(request)
    stream.resume()
    await once(stream, "end")
    const call = await untilCalled(calls)
    vi.advanceTimersByTime(limits.answerFlushMs * 2)
    expect(call.stream.closed).toBe(false)
  } finally {
    session.destroy()
  }
})
