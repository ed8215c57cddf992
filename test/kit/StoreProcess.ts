/** A process of its own that opens a store, as a replica would. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url))
const program = fileURLToPath(new URL("../store/process/OpenStore.ts", import.meta.url))

export interface StoreProcess {
  readonly child: ChildProcessWithoutNullStreams
  /** True when the store is open, false when the process ended before that. */
  readonly opened: Promise<boolean>
  readonly exit: Promise<number | null>
  readonly stderr: () => string
  readonly kill: () => Promise<number | null>
}

export const openStoreProcess = (url: string, clusterId: string): StoreProcess => {
  const child = spawn(node, [program, url, clusterId], { stdio: ["pipe", "pipe", "pipe"] })
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve))
  const opened = new Promise<boolean>((resolve) => {
    child.stdout.once("data", () => resolve(true))
    void exit.then(() => resolve(false))
  })
  return {
    child,
    opened,
    exit,
    stderr: () => stderr,
    kill: () => {
      child.kill("SIGKILL")
      return exit
    },
  }
}
