/** Streams over what they are for: relays through gateways, one of which dies now and then. */
import { randomBytes } from "node:crypto"
import { pipeline } from "node:stream/promises"
import { afterEach, describe, expect, it } from "vitest"
import { connect } from "../../src/stream/Connect.ts"
import { StreamServer } from "../../src/stream/StreamServer.ts"
import type { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import type { MethodHandler } from "../../src/wire/grpc/GrpcServer.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { clientLeg, serverLeg } from "../../src/wire/RelayLeg.ts"
import { connectTo, startServer } from "../wire/grpc/TestServer.ts"
import { closeAll, collect, digest } from "./Harness.ts"

afterEach(closeAll)

describe("a stream over relays", () => {
  it("survives the loss of every gateway connection that it uses", async () => {
    const server = new StreamServer({
      onStream: (incoming) => {
        const stream = incoming.accept()
        void pipeline(stream, stream).catch(() => undefined)
      },
    })
    const relay: MethodHandler = {
      kind: "streaming",
      handle: async (call, incoming) => {
        await incoming.read()
        const duplex = new RelayDuplex(serverLeg(call, incoming))
        server.accept(duplex, "")
        await new Promise((resolve) => duplex.once("close", resolve))
      },
    }
    const replicas = await Promise.all([1, 2, 3].map(() => startServer({ "/t/Relay": relay })))
    const connections: GrpcConnection[] = []
    const client = connect({
      kind: "tcp",
      target: "echo",
      openCarrier: async (_, signal) => {
        const connection = await connectTo(replicas[connections.length % replicas.length]?.url ?? "")
        connections.push(connection)
        const call = connection.open("/t/Relay", { signal })
        await call.write(Buffer.from("init"))
        await call.headers
        return new RelayDuplex(clientLeg(call))
      },
    })
    const stalls: number[] = []
    client.on("resumed", (stallMs: number) => stalls.push(stallMs))

    const body = randomBytes(24 * 1_048_576)
    let received = 0
    let nextCut = 2_000_000
    client.on("data", (chunk: Buffer) => {
      received += chunk.length
      if (received < nextCut) return
      nextCut += 4_000_000
      connections.at(-1)?.destroy()
    })
    client.end(body)
    const echoed = await collect(client)
    expect(digest().update(echoed).digest("hex")).toBe(digest().update(body).digest("hex"))
    expect(stalls.length).toBeGreaterThanOrEqual(4)
    expect(await client.outcome).toEqual({ _tag: "Finished" })
    server.close("the test is over")
  })
})
