import { once } from "node:events"
import { describe, expect, it } from "vitest"
import { EdgeStreams, streamEnd } from "../../src/edge/EdgeStreams.ts"
import { peerLeg } from "../../src/edge/PeerLeg.ts"
import { connect } from "../../src/stream/Connect.ts"
import { carrierKey, newIdentity } from "../../src/stream/Proof.ts"
import { memoryStreams } from "../../src/wire/MemoryStream.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { until } from "../kit/Until.ts"

const request = {
  sandboxId: "sandbox-1",
  tokenHash: "hash",
  target: { kind: "tcp", host: "127.0.0.1", port: 80 },
} as const

/** A stream that ends at an edge, whose supervisor echoes over a plain relay. */
const open = (target = "127.0.0.1:80") => {
  const edge = new EdgeStreams(() => undefined)
  const identity = newIdentity()
  const stream = { key: carrierKey(identity.id).toString("hex"), kind: "tcp", binding: "me" } as const
  const [ours, theirs] = memoryStreams()
  const supervisor = new RelayDuplex(peerLeg(theirs))
  supervisor.on("error", () => undefined)
  supervisor.pipe(supervisor)
  const carriers: RelayDuplex[] = []
  let binding = "me"
  const client = connect({
    identity,
    kind: "tcp",
    target,
    openCarrier: async () => {
      const leg = edge.knows(stream)
        ? edge.carrier(request, { ...stream, binding })
        : edge.begin(request, stream, peerLeg(ours))
      const carrier = new RelayDuplex(leg)
      carriers.push(carrier)
      return carrier
    },
  })
  return {
    edge,
    client,
    carriers,
    supervisor,
    become: (other: string) => {
      binding = other
    },
  }
}

describe("a stream that ends at the edge", () => {
  it("goes on over another carrier and the same relay, and half-closes like one", async () => {
    const { client, carriers, supervisor } = open()
    client.write("one ")
    expect(String((await once(client, "data"))[0])).toBe("one ")
    carriers[0]?.destroy()
    await once(client, "resumed")
    client.end("two")
    expect(String((await once(client, "data"))[0])).toBe("two")
    client.resume()
    expect(await client.outcome).toEqual({ _tag: "Finished" })
    await until("the supervisor's end is closed", () => supervisor.closed)
    expect(carriers).toHaveLength(2)
  })

  it("is reset with its relay, and its relay with it", async () => {
    const lost = open()
    await lost.client.opened
    lost.supervisor.destroy()
    expect(await lost.client.outcome).toMatchObject({ _tag: "Reset", by: "peer" })
    const left = open()
    await left.client.opened
    left.client.destroy()
    await until("the supervisor's end is closed", () => left.supervisor.closed)
  })

  it("is cut with its token or its sandbox, and with no other", async () => {
    const { edge, client } = open()
    await client.opened
    edge.cut("sandbox-2", undefined)
    edge.cut("sandbox-1", "another")
    client.write("still here")
    await once(client, "data")
    edge.cut("sandbox-1", "hash")
    expect(await client.outcome).toMatchObject({ _tag: "Reset", by: "peer" })
  })

  it("is not begun over a relay that has ended meanwhile", async () => {
    const edge = new EdgeStreams(() => undefined)
    const stream = { key: carrierKey(newIdentity().id).toString("hex"), kind: "tcp", binding: "me" } as const
    const [ours, theirs] = memoryStreams()
    theirs.on("error", () => undefined)
    ours.destroy()
    await until("the relay is closed", () => ours.closed)
    const carrier = edge.begin(request, stream, peerLeg(ours))
    expect(edge.knows(stream)).toBe(false)
    expect(carrier.stream.destroyed).toBe(true)
  })

  it("is not resumed for somebody else, and not begun to another target", async () => {
    const { client, carriers, become } = open()
    await client.opened
    become("somebody else")
    carriers[0]?.destroy()
    expect(await client.outcome).toMatchObject({ _tag: "Lost" })
    await expect(open("127.0.0.1:81").client.opened).rejects.toMatchObject({ code: "denied" })
  })
})

describe("where a stream ends", () => {
  const able = { serves: () => true }
  const plain = { serves: () => false }
  const carrier = (kind: "ssh" | "exec", byReplica: boolean) => ({ key: "", binding: "", kind, byReplica })

  it("is in the supervisor that can, at the edge for others, and nowhere where that gains nothing", () => {
    expect(streamEnd(able, undefined, false)).toBe("none")
    expect(streamEnd(able, carrier("ssh", false), true)).toBe("supervisor")
    expect(streamEnd(plain, carrier("ssh", false), true)).toBe("edge")
    expect(streamEnd(able, carrier("ssh", true), false)).toBe("supervisor")
    expect(streamEnd(able, carrier("ssh", true), true)).toBe("none")
    expect(streamEnd(plain, carrier("ssh", true), false)).toBe("none")
    expect(streamEnd(plain, carrier("exec", false), false)).toBeUndefined()
    expect(streamEnd(plain, carrier("exec", true), false)).toBe("none")
    expect(streamEnd(able, carrier("exec", true), true)).toBe("supervisor")
  })
})
