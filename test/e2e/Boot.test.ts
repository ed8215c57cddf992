/** Starting: many at once, and without a database. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it, onTestFinished } from "vitest"
import { TestCluster } from "../kit/Cluster.ts"
import { sh } from "../kit/Exec.ts"
import { freePort } from "../kit/Postgres.ts"
import { until } from "../kit/Until.ts"

const holdfast = fileURLToPath(new URL("../../bin/holdfast", import.meta.url))

const exited = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once("exit", resolve))

/** A directory with the keys of a replica called `lonely`, and the settings that name them. */
const replicaKeys = () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-boot-"))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  execFileSync(holdfast, ["gateway", "create-keys", "--out", directory], { stdio: "ignore" })
  execFileSync(
    holdfast,
    [
      "gateway",
      "issue-peer-certificate",
      "--name",
      "lonely",
      "--ca-dir",
      join(directory, "peer-ca"),
      "--out",
      join(directory, "peer"),
    ],
    { stdio: "ignore" },
  )
  return {
    directory,
    environment: {
      HOLDFAST_NAME: "lonely",
      HOLDFAST_JWT_DIR: join(directory, "jwt"),
      HOLDFAST_PEER_CA: join(directory, "peer", "ca.pem"),
      HOLDFAST_PEER_CERT: join(directory, "peer", "replica.pem"),
      HOLDFAST_PEER_KEY: join(directory, "peer", "replica.key"),
    },
  }
}

describe("five replicas that boot at the same moment on an empty database", () => {
  it("all join, share the shards evenly and reach a sandbox", async () => {
    const cluster = await TestCluster.start({ replicas: 5 })
    onTestFinished(() => cluster.stop())
    await until("all five have their share", async () => {
      const { replicas } = await cluster.status()
      const shards = replicas.filter((replica) => replica.live).map((replica) => replica.shards)
      return (
        shards.length === 5 &&
        shards.reduce((sum, count) => sum + count, 0) === 300 &&
        shards.every((count) => count > 40 && count < 80)
      )
    })
    const id = (await cluster.create("five")).metadata?.id ?? ""
    await cluster.ready("five")
    for (const via of cluster.names)
      expect((await sh(await cluster.connection(via), id, "echo here")).stdout.toString()).toBe("here\n")
  }, 120_000)
})

describe("a replica whose database is not there", () => {
  it("says so in one line per attempt, without the password or a stack trace, and keeps trying", async () => {
    const keys = replicaKeys()
    const port = await freePort()
    const child = spawn(holdfast, ["gateway", "run"], {
      env: {
        ...process.env,
        ...keys.environment,
        HOLDFAST_DATABASE_URL: `postgres://someone:hunter2@127.0.0.1:${port}/holdfast`,
        HOLDFAST_LISTEN: `127.0.0.1:${await freePort()}`,
        HOLDFAST_PEER_LISTEN: `127.0.0.1:${await freePort()}`,
      },
      stdio: ["ignore", "ignore", "pipe"],
    })
    let log = ""
    child.stderr.on("data", (chunk: Buffer) => {
      log += chunk.toString()
    })
    const ended = exited(child)
    try {
      await until("three attempts are told", async () => log.split("ECONNREFUSED").length > 3)
    } finally {
      child.kill("SIGTERM")
    }
    await ended
    expect(log).toContain(`127.0.0.1:${port}`)
    expect(log).not.toContain("hunter2")
    expect(log).not.toMatch(/\n\s+at /)
  }, 60_000)

  it("refuses settings that cannot work, naming the variable", async () => {
    const child = spawn(holdfast, ["gateway", "run"], {
      env: { PATH: process.env.PATH, HOLDFAST_DATABASE_URL: "postgres://x/y", HOLDFAST_LISTEN: "nowhere" },
      stdio: ["ignore", "ignore", "pipe"],
    })
    let log = ""
    child.stderr.on("data", (chunk: Buffer) => {
      log += chunk.toString()
    })
    expect(await exited(child)).toBe(2)
    expect(log).toContain("HOLDFAST_LISTEN")
  })

  it("refuses a certificate that it cannot read, naming the variable", async () => {
    const { directory, environment } = replicaKeys()
    const child = spawn(holdfast, ["gateway", "run"], {
      env: {
        ...process.env,
        ...environment,
        HOLDFAST_DATABASE_URL: `sqlite:${join(directory, "gateway.db")}`,
        HOLDFAST_LISTEN: `127.0.0.1:${await freePort()}`,
        HOLDFAST_PEER_LISTEN: `127.0.0.1:${await freePort()}`,
        HOLDFAST_STATE_DIR: join(directory, "state"),
        HOLDFAST_TLS_CERT: join(directory, "missing.pem"),
        HOLDFAST_TLS_KEY: join(directory, "missing.key"),
      },
      stdio: ["ignore", "ignore", "pipe"],
    })
    let log = ""
    child.stderr.on("data", (chunk: Buffer) => {
      log += chunk.toString()
    })
    expect(await exited(child)).not.toBe(0)
    expect(log).toContain("HOLDFAST_TLS_CERT")
    expect(log).toContain("missing.pem")
    expect(log).not.toMatch(/\n\s+at /)
  }, 60_000)
})
