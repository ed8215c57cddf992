/** One replica on SQLite: everything a sandbox needs, and it stays that way. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { TestCluster } from "../kit/Cluster.ts"
import { sh } from "../kit/Exec.ts"

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 1, database: "sqlite" })
}, 60_000)
afterAll(() => cluster?.stop(), 60_000)

describe("a single replica on SQLite", () => {
  it("owns all shards and keeps them", async () => {
    const id = (await cluster.create("solo")).metadata?.id ?? ""
    await cluster.ready("solo")
    const before = await cluster.locate(id)
    // Longer than two refreshes of the shard locks, each of which could lose them.
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    const after = await cluster.locate(id)
    expect(after.epoch).toBe(before.epoch)
    expect((await cluster.status()).replicas).toMatchObject([{ live: true, shards: 300, sessions: 1 }])
    expect((await sh(await cluster.connection("replica-1"), id, "echo one")).stdout.toString()).toBe("one\n")
  })

  it("finds its sandboxes again after kill -9, under a higher epoch", async () => {
    const { sandboxId, epoch } = await cluster.locate((await cluster.create("again")).metadata?.id ?? "")
    await cluster.ready("again")
    await cluster.kill("replica-1")
    await cluster.restart("replica-1")
    await cluster.ready("again")
    expect((await cluster.locate(sandboxId)).epoch).toBeGreaterThan(epoch)
    expect((await sh(await cluster.connection("replica-1"), sandboxId, "echo two")).stdout.toString()).toBe(
      "two\n",
    )
  }, 60_000)
})
