/** One replica cut off from the others and from Postgres, while clients and supervisors still reach it; then whole again. */
import { randomBytes } from "node:crypto"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import * as ProxyLinks from "../../src/drill/sites/ProxyLinks.ts"
import type { Cut } from "../../src/drill/sites/Site.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"
import { until } from "../kit/Until.ts"

const names = ["replica-1", "replica-2", "replica-3"] as const
const [cut, ...others] = names
const fenceMs = 3_000
const leaseMs = 5_000

let cluster: TestCluster
let target: EchoServer
let links: ProxyLinks.ProxyLinks
const scope = Effect.runSync(Scope.make())
beforeAll(async () => {
  links = await Effect.runPromise(Scope.extend(ProxyLinks.make(names), scope))
  cluster = await TestCluster.start({
    withoutSupervisors: true,
    environment: (name, usual) => ({
      ...links.environment(name, usual),
      HOLDFAST_FENCE_MS: String(fenceMs),
      HOLDFAST_LEASE_MS: String(leaseMs),
    }),
  })
  links.identify(cluster.local.replicas)
  target = await echoServer()
}, 90_000)
afterAll(async () => {
  target?.close()
  await cluster?.stop()
  await Effect.runPromise(Scope.close(scope, Exit.void))
}, 60_000)

let counter = 0

/** Owned by the replica that will be cut off, or by another, with its session on the former. */
const sandbox = async (wanted: (owner: string) => boolean) => {
  for (let attempt = 0; attempt < 60; attempt++) {
    counter += 1
    const created = await cluster.create(`part-${counter}`, {}, cut)
    const id = created.metadata?.id ?? ""
    if (!wanted((await cluster.locate(id, cut)).owner)) continue
    const { url } = cluster.replica(cut)
    const double = new SupervisorDouble({ url, sandboxId: id, token: await cluster.token(id), moves: true })
    onTestFinished(() => double.vanish())
    await double.attach()
    return { id, double, token: await sshToken(await cluster.connection("replica-2"), id) }
  }
  throw new Error("no sandbox came to the owner that was wanted")
}

const works = async (via: string, { id, token }: { readonly id: string; readonly token: string }) => {
  const connection = await cluster.connection(via)
  const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
  const payload = randomBytes(1_000)
  const same = (await echo(stream, payload)).equals(payload)
  stream.end()
  return same
}

/** Refusals count as "not yet". */
const worksSoon = (via: string, it: { readonly id: string; readonly token: string }) =>
  until(`${via} reaches it`, () => works(via, it).catch(() => false), 15_000)

const cutOff = (way: Cut) => Effect.runPromise(links.cut(cut, way))
const heal = () => Effect.runPromise(links.heal(cut))

describe("a replica that is cut off", () => {
  for (const way of ["outgoing", "incoming", "both"] as const)
    it(`(${way}) sends its supervisors to the others, which take over; back again it is one of them at once`, async () => {
      const owned = await sandbox((owner) => owner === cut)
      const held = await sandbox((owner) => owner !== cut)
      const before = await cluster.locate(owned.id, "replica-2")
      onTestFinished(heal)
      await cutOff(way)
      const urls = others.map((name) => cluster.replica(name).url)
      for (const { double } of [owned, held]) {
        await until("its supervisor was asked to go", async () => double.moves.length > 0, 15_000)
        expect(urls).toContain(double.moves[0])
      }
      for (const via of others) {
        await worksSoon(via, held)
        await worksSoon(via, owned)
      }
      const after = await cluster.locate(owned.id, "replica-2")
      expect(after.owner).not.toBe(cut)
      expect(after.epoch).toBeGreaterThan(before.epoch)
      // It must not answer for what it lost, then or when its links are back.
      await expect(cluster.locate(owned.id, cut)).rejects.toThrow()
      await heal()
      for (const via of names) for (const it of [held, owned]) await worksSoon(via, it)
      for (const via of names)
        expect((await cluster.locate(owned.id, via)).epoch).toBeGreaterThanOrEqual(after.epoch)
    }, 90_000)
})
