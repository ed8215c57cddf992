/**
 * `bun run soak`: what a replica holds before and after scale cycles. One replica stays; two others leave and come
 * back, again and again, under idle sessions and commands. What it has at the end must be what it had at the start.
 */
import { readdirSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import * as Fleet from "../../src/drill/fleet/Fleet.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { Inspector } from "../kit/Inspector.ts"
import { until } from "../kit/Until.ts"

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "10" },
    sessions: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  },
})
const cycles = Number(values.cycles)
const sessions = Number(values.sessions)

/** The aim. */
const allowedPercent = 5

interface Holdings {
  readonly residentMb: number
  readonly heapMb: number
  readonly descriptors: number
  readonly fibers: number
}

const say = (text: string): void => {
  if (!values.json) process.stdout.write(`${text}\n`)
}

const residentMb = (pid: number): number =>
  Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024)

const holdings = async (pid: number): Promise<Holdings> => {
  const inspector = await Inspector.open(pid)
  // What the first frees lets the second free more.
  await inspector.collectGarbage()
  await inspector.collectGarbage()
  const heap = Number(await inspector.evaluate("process.memoryUsage().heapUsed"))
  const resident = residentMb(pid)
  const descriptors = readdirSync(`/proc/${pid}/fd`).length
  const fibers = (await inspector.count(["FiberRuntime"])).get("FiberRuntime") ?? 0
  await inspector.close()
  return { residentMb: resident, heapMb: Math.round(heap / 1_048_576), descriptors, fibers }
}

/** Sessions have evened out (30 s), actors sleep (30 s more), and unused database connections are closed. */
const settleMs = 75_000

const cluster = await TestCluster.start({
  replicas: 3,
  environment: () => ({ HOLDFAST_DRIVER: "none" }),
})
let failures = 0
try {
  const stay = cluster.replica("replica-1")
  const fleet = await cluster.scoped(
    Fleet.start({
      prefix: "soak",
      count: sessions,
      endpoints: cluster.local.replicas().map(({ url }) => url),
      jwtDirectory: `${cluster.stateDir}/jwt`,
      gatewayId: "openshell",
      rampMs: 1_000,
      extensions: true,
      databaseUrl: cluster.local.postgres?.url ?? "",
      clusterId: "holdfast",
    }),
  )
  const whole = () => until("every session is up", async () => fleet.report().attached >= sessions, 60_000)

  const cycle = async (): Promise<void> => {
    for (const name of ["replica-3", "replica-2"]) {
      await Effect.runPromise(cluster.local.stop(name))
      await whole()
    }
    for (const name of ["replica-2", "replica-3"]) await cluster.restart(name)
    await whole()
    // Sandboxes are looked at through the replica that stays, so that their actors wake there or are asked from there.
    const connection = await cluster.connection(stay.name)
    const { sandboxes } = await callUnary(connection, OpenShell.method.listSandboxes, { limit: sessions })
    for (const sandbox of sandboxes) await cluster.locate(sandbox.metadata?.id ?? "", stay.name)
  }

  // The first cycle loads code and opens what is kept; the first look itself takes memory that is not given back.
  await cycle()
  await holdings(stay.pid ?? 0)
  await cycle()
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const before = await holdings(stay.pid ?? 0)
  say(`at first: ${JSON.stringify(before)}`)
  for (let done = 1; done <= cycles; done += 1) {
    await cycle()
    say(`cycle ${done}: ${residentMb(stay.pid ?? 0)} MiB resident`)
  }
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const after = await holdings(stay.pid ?? 0)
  say(`after ${cycles} more: ${JSON.stringify(after)}`)
  const grown = Object.entries(before).map(([name, value]) => {
    const now = after[name as keyof Holdings]
    return { name, before: value, after: now, percent: Math.round(((now - value) / value) * 1_000) / 10 }
  })
  for (const { name, before: was, after: now, percent } of grown) {
    const met = percent <= allowedPercent
    if (!met) failures += 1
    say(`${met ? "ok    " : "MISSED"} ${name}: ${was} → ${now} (${percent} %, at most ${allowedPercent} %)`)
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ cycles, sessions, grown, failures })}\n`)
} finally {
  await cluster.stop()
}
process.exit(failures === 0 ? 0 : 1)
