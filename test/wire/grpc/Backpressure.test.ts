import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import { encodeFrame, FrameDecoder } from "../../../src/wire/grpc/Framing.ts"
import { grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler, ServerCall } from "../../../src/wire/grpc/GrpcServer.ts"
import type { MessageReader } from "../../../src/wire/grpc/MessageReader.ts"
import { writeMessage } from "../../../src/wire/grpc/MessageWriter.ts"
import { eventually } from "../../kit/Until.ts"
import { connectTo, startServer } from "./TestServer.ts"

const mebibyte = 1_048_576
const block = Buffer.alloc(65_536, "holdfast")
const blocks = 1_024

const hashOf = (times: number): string => {
  const hash = createHash("sha256")
  for (let n = 0; n < times; n++) hash.update(block)
  return hash.digest("hex")
}

const source: MethodHandler = {
  kind: "streaming",
  handle: async (call) => {
    call.sendHeaders()
    for (let n = 0; n < blocks; n++) await writeMessage(call.stream, block, call.signal)
  },
}

/** Answers after the first message, in one of the ways there are. */
const early = (how: "ok" | "error" | "error after headers"): MethodHandler => ({
  kind: "streaming",
  handle: async (call, incoming) => {
    await incoming.read()
    await eventually("more is held than is read ahead", () => call.stream.isPaused())
    if (how !== "error") call.sendHeaders()
    if (how !== "ok") throw grpcError(Status.NOT_FOUND, "no")
  },
})

describe("a call that is answered before its messages are read", () => {
  it.each([
    ["ok", undefined],
    ["error", Status.NOT_FOUND],
    ["error after headers", Status.NOT_FOUND],
  ] as const)("with %s keeps none of them: its stream closes", async (how, code) => {
    const { url, server } = await startServer({ "/t/Early": early(how) })
    const connection = await connectTo(url)
    const running = () => [...server.connections].reduce((sum, { calls }) => sum + calls.size, 0)
    for (const ends of [true, false]) {
      const call = connection.open("/t/Early")
      const writing = (async () => {
        for (let n = 0; n < 32; n++) await call.write(block)
        if (ends) call.end()
      })()
      writing.catch(() => undefined)
      expect((await call.status)?.code).toBe(code)
      await eventually("the server's stream is closed", () => running() === 0)
    }
  })

  it("lets a connection that was asked to close in order do so", async () => {
    const { url, server } = await startServer({ "/t/Early": early("error after headers") })
    const connection = await connectTo(url)
    const call = connection.open("/t/Early")
    for (let n = 0; n < 32; n++) call.stream.write(encodeFrame(block))
    call.end()
    expect((await call.status)?.code).toBe(Status.NOT_FOUND)
    connection.close()
    await eventually("the server has no session left", () => server.sessions === 0)
    await connection.closed
  })
})

describe("64 MiB", () => {
  it("arrive whole from the server", async () => {
    const { url } = await startServer({ "/t/Source": source })
    const call = (await connectTo(url)).open("/t/Source")
    const hash = createHash("sha256")
    for (let m = await call.reader.read(); m !== undefined; m = await call.reader.read()) hash.update(m)
    expect(hash.digest("hex")).toBe(hashOf(blocks))
    expect(await call.status).toBeUndefined()
  })

  it("arrive whole from the client", async () => {
    const { url } = await startServer({
      "/t/Sink": {
        kind: "streaming",
        handle: async (call, incoming) => {
          const hash = createHash("sha256")
          for (let m = await incoming.read(); m !== undefined; m = await incoming.read()) hash.update(m)
          call.sendHeaders()
          await writeMessage(call.stream, Buffer.from(hash.digest("hex")))
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Sink")
    for (let n = 0; n < blocks; n++) await call.write(block)
    call.end()
    expect((await call.reader.read())?.toString()).toBe(hashOf(blocks))
  })

  it("pass uncut through a handler that releases its reader after the first message", async () => {
    const { url } = await startServer({
      "/t/Cut": {
        kind: "streaming",
        handle: async (call, incoming) => {
          expect((await incoming.read())?.toString()).toBe("init")
          call.sendHeaders()
          call.stream.write(incoming.release())
          call.stream.pipe(call.stream, { end: false })
          await new Promise((resolve) => call.stream.once("end", resolve))
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Cut")
    const writing = (async () => {
      await call.write(Buffer.from("init"))
      for (let n = 0; n < blocks; n++) await call.write(block)
      call.end()
    })()
    const hash = createHash("sha256")
    for (let m = await call.reader.read(); m !== undefined; m = await call.reader.read()) hash.update(m)
    await writing
    expect(hash.digest("hex")).toBe(hashOf(blocks))
    expect(await call.status).toBeUndefined()
  })
})

describe("a reader that stops", () => {
  it("holds the sender at the stream's window, and the connection's other streams keep moving", async () => {
    let stuck: { readonly call: ServerCall; readonly incoming: MessageReader } | undefined
    const { url } = await startServer({
      "/t/Stuck": {
        kind: "streaming",
        handle: (call, incoming) => {
          call.sendHeaders()
          stuck = { call, incoming }
          return new Promise((resolve) => call.signal.addEventListener("abort", () => resolve()))
        },
      },
      "/t/Source": source,
    })
    const connection = await connectTo(url)
    const call = connection.open("/t/Stuck")
    await call.headers
    let written = 0
    const writing = (async () => {
      for (let n = 0; n < blocks; n++) {
        await call.write(block)
        written += block.length
      }
    })()
    writing.catch(() => undefined)

    const other = connection.open("/t/Source")
    let received = 0
    for (let m = await other.reader.read(); m !== undefined; m = await other.reader.read())
      received += m.length
    expect(received).toBe(64 * mebibyte)

    expect(written).toBeGreaterThan(3 * mebibyte)
    expect(written).toBeLessThan(6 * mebibyte)
    const at = written
    // node:http2 opens the window again when what it had buffered is consumed.
    const inFlight = written / block.length
    for (let m = 0; m < inFlight; m++) await stuck?.incoming.read()
    await eventually("the sender moves again once the reader reads", () => written > at)
    call.cancel()
    expect(await call.status).toMatchObject({ code: Status.CANCELLED })
    await expect(writing).rejects.toMatchObject({ code: Status.CANCELLED })
  })

  it("that is released hands over exactly the bytes it has not consumed", async () => {
    const { url } = await startServer({
      "/t/Release": {
        kind: "streaming",
        handle: async (call, incoming) => {
          call.sendHeaders()
          await incoming.read()
          // Let more arrive before the release, so that there is something to hand over.
          await eventually("the stream is paused by the reader", () => call.stream.isPaused())
          const decoder = new FrameDecoder(mebibyte)
          decoder.push(incoming.release())
          for await (const chunk of call.stream) decoder.push(chunk)
          const hash = createHash("sha256")
          for (let m = decoder.next(); m !== undefined; m = decoder.next()) hash.update(m)
          await writeMessage(call.stream, Buffer.from(hash.digest("hex")))
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Release")
    await call.write(Buffer.from("init"))
    for (let n = 0; n < 32; n++) await call.write(block)
    call.end()
    expect((await call.reader.read())?.toString()).toBe(hashOf(32))
  })
})
