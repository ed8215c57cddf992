/** Commands in a sandbox as a probe: how long one takes, and how soon one succeeds after a kill. */
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { openTyped } from "../../kit/Calls.ts"
import { connectionTo } from "./Dial.ts"
import type { FailoverReply } from "./Protocol.ts"

/** Runs `true`; rejects unless it ends with 0 in time. */
const exec = async (url: string, sandboxId: string, timeoutMs: number): Promise<void> => {
  const connection = await connectionTo(url)
  const call = openTyped(connection, OpenShell.method.execSandbox, { timeoutMs })
  try {
    await call.send({ sandboxId, command: ["true"] })
    call.end()
    for (;;) {
      const event = await call.receive()
      if (event === undefined) throw new Error("the call ended without an exit code")
      if (event.payload.case !== "exit") continue
      if (event.payload.value.exitCode !== 0) throw new Error(`exit code ${event.payload.value.exitCode}`)
      return
    }
  } finally {
    call.cancel()
  }
}

export const execLatency = async (
  url: string,
  sandboxId: string,
  count: number,
): Promise<ReadonlyArray<number>> => {
  const samplesMs: Array<number> = []
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now()
    await exec(url, sandboxId, 10_000)
    samplesMs.push(performance.now() - startedAt)
  }
  return samplesMs
}

/** Attempts do not start closer together than this. */
const paceMs = 10

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

const lane = async (
  url: string,
  sandboxId: string,
  killedAt: number,
  attemptMs: number,
  limitMs: number,
): Promise<FailoverReply["lanes"][number]> => {
  const failures = new Set<string>()
  for (let attempts = 1; performance.now() - killedAt < limitMs; attempts += 1) {
    const startedAt = performance.now()
    try {
      await exec(url, sandboxId, attemptMs)
      return { gapMs: performance.now() - killedAt, attempts, failures: [...failures] }
    } catch (error) {
      if (failures.size < 16) failures.add(error instanceof Error ? error.message : String(error))
      await pause(startedAt + paceMs - performance.now())
    }
  }
  throw new Error(`no success through ${url} within ${limitMs} ms: ${[...failures].join("; ")}`)
}

export const failover = async (options: {
  readonly pid: number
  readonly urls: ReadonlyArray<string>
  readonly sandboxId: string
  readonly attemptMs: number
  readonly limitMs: number
}): Promise<FailoverReply> => {
  const { urls, sandboxId } = options
  // What is measured is the cluster, not the client's first connection.
  const before: Array<string> = []
  for (const url of urls)
    before.push(...(await lane(url, sandboxId, performance.now(), 10_000, 20_000)).failures)
  const killedAt = performance.now()
  process.kill(options.pid, "SIGKILL")
  const lanes = urls.map((url) => lane(url, sandboxId, killedAt, options.attemptMs, options.limitMs))
  return { before, lanes: await Promise.all(lanes) }
}
