/** Runs this program again in a network namespace of its own, which only root may make. */
import { spawn } from "node:child_process"
import { accessSync, constants } from "node:fs"
import path from "node:path"
import { Effect } from "effect"
import { DrillError } from "../DrillError.ts"

/** Set for the program that runs inside. */
const marker = "HOLDFAST_DRILL_NAMESPACE"
const tools = ["unshare", "ip", "iptables", "setpriv"] as const

export const isInside = (): boolean => process.env[marker] === "1"

const isFound = (tool: string): boolean =>
  [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"].some((directory) => {
    try {
      accessSync(path.join(directory, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** What is missing to make a namespace; undefined when nothing is. */
export const missing = (): string | undefined => {
  if (process.getuid?.() !== 0) {
    return "partition by packets needs root, for a network namespace; --by proxy needs nothing"
  }
  const absent = tools.filter((tool) => !isFound(tool))
  return absent.length === 0
    ? undefined
    : `partition by packets needs ${absent.join(", ")}; --by proxy needs nothing`
}

/** Runs `holdfast` with these arguments inside; ends with its exit code. */
export const runInside = (args: ReadonlyArray<string>): Effect.Effect<number, DrillError> =>
  Effect.async<number, DrillError>((resume) => {
    const enter = `ip link set lo up && exec "$@"`
    const self = [process.execPath, ...process.execArgv, process.argv[1] ?? "", ...args]
    const child = spawn("unshare", ["--net", "/bin/sh", "-c", enter, "sh", ...self], {
      stdio: "inherit",
      env: { ...process.env, [marker]: "1" },
    })
    child.once("error", (error) =>
      resume(new DrillError({ message: `unshare does not start: ${error.message}` })),
    )
    child.once("exit", (code) => resume(Effect.succeed(code ?? 1)))
    return Effect.async<void>((ended) => {
      child.once("exit", () => ended(Effect.void))
      if (child.exitCode !== null || child.signalCode !== null) ended(Effect.void)
      // It stops its cluster before it ends.
      else child.kill("SIGINT")
    })
  })
