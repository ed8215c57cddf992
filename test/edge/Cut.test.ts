/** A relay that a gateway cuts must not look complete to anyone. */
import { afterEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { splice } from "../../src/edge/Splice.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { type GrpcError, grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { createGrpcServer } from "../../src/wire/grpc/GrpcServer.ts"
import { ServerCallState } from "../../src/wire/grpc/ServerCall.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { clientLeg, type RelayLeg, serverLeg } from "../../src/wire/RelayLeg.ts"

const cleanups: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A gateway that joins a supervisor with a client, whichever comes first. */
const joined = async (deaf = false) => {
  const legs: Array<RelayLeg> = []
  const abandons: Array<(error: GrpcError) => void> = []
  const server = createGrpcServer({
    router: () => ({
      kind: "streaming",
      handle: async (call, incoming) => {
        const leg = serverLeg(call, incoming)
        legs.push(leg)
        if (call instanceof ServerCallState) abandons.push((error) => call.abandon(error))
        const [first, second] = legs
        if (first !== undefined && second !== undefined)
          void splice(first, second, { guardA: true, guardB: true })
        await new Promise<void>((resolve) => call.stream.once("close", resolve))
      },
    }),
  })
  const { port } = await server.listen(0, "127.0.0.1")
  cleanups.push(() => server.close(0))
  const open = async (listens: boolean) => {
    const connection = await GrpcConnection.connect({ url: `http://127.0.0.1:${port}` })
    cleanups.push(() => connection.destroy())
    const call = connection.open("/test.Test/Relay")
    await call.headers
    const leg = clientLeg(call)
    if (!listens) {
      leg.stream.pause()
      leg.stream.on("error", () => {})
    }
    return listens ? new RelayDuplex(leg) : undefined
  }
  const supervisor = await open(!deaf)
  const client = await open(true)
  if (client === undefined) throw new Error("no client")
  return { supervisor, client, legs, abandons }
}

const fate = (duplex: RelayDuplex): Promise<string> =>
  new Promise((resolve) => {
    duplex.once("end", () => resolve("ended"))
    duplex.once("error", ({ message }) => resolve(message))
    duplex.resume()
  })

describe("a relay that is cut", () => {
  it("does not look complete to the client while the supervisor has not heard of it", async () => {
    const { client, legs } = await joined(true)
    const clients = fate(client)
    legs[0]?.abort("relay channel dropped")
    expect(await clients).toBe("relay channel dropped")
  })

  it.each(["the supervisor", "the client"])(
    "fails at both ends when the leg of %s is aborted",
    async (side) => {
      const { supervisor, client, legs } = await joined()
      if (supervisor === undefined) throw new Error("no supervisor")
      client.write("half of it")
      await new Promise((resolve) => supervisor.once("readable", resolve))
      supervisor.read()
      const fates = Promise.all([fate(supervisor), fate(client)])
      legs[side === "the supervisor" ? 0 : 1]?.abort("relay channel dropped")
      expect(await fates).toEqual(["relay channel dropped", "relay channel dropped"])
    },
  )

  it("tells the client why at the end of a drain, although the supervisor's leg is cut in the same moment", async () => {
    const { supervisor, client, legs, abandons } = await joined()
    supervisor?.on("error", () => undefined)
    const clients = fate(client)
    legs[0]?.abort("relay channel dropped")
    abandons[1]?.(grpcError(Status.UNAVAILABLE, "this replica was drained"))
    legs[1]?.abort("relay channel dropped")
    expect(await clients).toBe("this replica was drained")
  })
})
