/** `PushSandboxLogs` as the reference holds it open: a connection of its own, batches of at most 50 lines. */
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { openTyped } from "../Calls.ts"
import { type Caller, connectTo, sleep } from "./Calls.ts"

const batchLines = 50
const batchMs = 500
const keptLines = 200

export class LogPush {
  #lines: Array<{ readonly timestampMs: bigint; readonly message: string }> = []

  info(message: string): void {
    this.#lines.push({ timestampMs: BigInt(Date.now()), message })
    this.#lines = this.#lines.slice(-keptLines)
    process.stderr.write(`${message}\n`)
  }

  /** Ends when the gateway does not know this sandbox; otherwise it dials again after 1 s, doubling to 30 s. */
  async run(caller: Caller, sandboxId: string): Promise<void> {
    for (let pauseMs = 1_000; ; pauseMs = Math.min(2 * pauseMs, 30_000)) {
      const connection = await connectTo(caller).catch(() => undefined)
      if (connection !== undefined) {
        const call = openTyped(connection, OpenShell.method.pushSandboxLogs)
        let over = false
        void call.call.status.then(() => {
          over = true
        })
        while (!over) {
          const logs = this.#lines.splice(0, batchLines).map((line) => ({
            sandboxId,
            level: "INFO",
            target: "openshell_sandbox",
            source: "",
            ...line,
          }))
          if (logs.length > 0) await call.send({ sandboxId, logs }).catch(() => {})
          await sleep(batchMs)
        }
        connection.destroy()
      }
      await sleep(pauseMs)
    }
  }
}
