/** What docs/reference/compatibility.md says of each method, asked of a real gateway. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { encodeFrame } from "../../src/wire/grpc/Framing.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { methodPath } from "../../src/wire/grpc/Typed.ts"
import { strayNotes, support } from "../docs/Compatibility.ts"
import { TestCluster } from "../kit/Cluster.ts"

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 1, database: "sqlite", withoutSupervisors: true })
}, 60_000)
afterAll(async () => {
  await cluster?.stop()
}, 60_000)

it("the table of methods says of each what the gateway does: those not yet there are UNIMPLEMENTED, no others", async () => {
  expect(support).toHaveLength(71)
  expect(strayNotes).toEqual([])
  const id = (await cluster.create("asked")).metadata?.id ?? ""
  const token = await cluster.token(id)
  const { url } = cluster.replica("replica-1")
  const user = await GrpcConnection.connect({ url })
  const sandbox = await GrpcConnection.connect({ url, headers: () => ({ authorization: `Bearer ${token}` }) })
  try {
    const wrong: Array<string> = []
    for (const { method, support: state } of support) {
      const answers = await Promise.all(
        [user, sandbox].map(async (connection) => {
          const call = connection.open(methodPath(method), { timeoutMs: 5_000 })
          // An empty message: validation refuses it, or it is a fine request; a missing method does not look.
          call.stream.end(encodeFrame(new Uint8Array()))
          call.stream.resume()
          return (await call.status)?.code ?? Status.OK
        }),
      )
      const missing = answers.includes(Status.UNIMPLEMENTED)
      if (missing !== (state === "not yet")) wrong.push(`${method.name} is ${state} and answers ${answers}`)
    }
    expect(wrong).toEqual([])
  } finally {
    user.destroy()
    sandbox.destroy()
  }
}, 60_000)
