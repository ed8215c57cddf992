/** Ports of a sandbox on this machine, with real HTTP. */

import { spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import path from "node:path"
import { type Case, equal, freePort, includes, lacks, until } from "./Case.ts"

const bodyBytes = 2 * 1_048_576
const callMs = 10_000

/** GET and POST, five times at once. */
const speak = async (url: string, headers: Record<string, string> = {}): Promise<void> => {
  const body = randomBytes(bodyBytes)
  const hash = createHash("sha256").update(body).digest("hex")
  const signal = AbortSignal.timeout(callMs)
  const answers = await Promise.all(
    [0, 1, 2].map(async (index) => {
      const post = index > 0
      const response = await fetch(`${url}/path?n=${index}`, {
        ...{ headers, signal, method: post ? "POST" : "GET" },
        ...(post ? { body } : {}),
      })
      equal(response.status, 200, "the status")
      return (await response.json()) as { url: string; size: number; hash: string }
    }),
  )
  answers.forEach((answer, index) => {
    equal(answer.url, `/path?n=${index}`, "the path")
    if (index > 0) equal([answer.size, answer.hash], [bodyBytes, hash], "the body")
  })
}

export const forwardCases: ReadonlyArray<Case> = [
  {
    name: "forward start, list, stop",
    supervisors: "both",
    run: async (use) => {
      // Both sides have the same port, and the process driver's sandboxes are this machine: an address of its own
      // tells them apart, and the server comes after the forward, because the command line wants the port free.
      const app = await use.app()
      const address = "127.0.0.2"
      const port = await freePort()
      const file = path.join(import.meta.dirname, "..", "app.ts")
      await use.cli(["forward", "start", "-d", `${address}:${port}`, app.name], { of: app })
      const serve = `(sleep 600 | ${process.execPath} ${file} ${port}) > served 2>&1 & echo $!`
      const started = await use.text(["sandbox", "exec", "-n", app.name, "--", "setsid", "sh", "-c", serve], {
        of: app,
      })
      try {
        await until("the forward carries HTTP", async () => {
          await speak(`http://${address}:${port}`)
          return true
        })
        includes(await use.text(["forward", "list"], { of: app }), app.name, String(port))
      } finally {
        await use.cli(["forward", "stop", String(port), app.name], { of: app })
        await use.cli(["sandbox", "exec", "-n", app.name, "--", "kill", started.trim()], { of: app })
      }
      lacks(await use.text(["forward", "list"], { of: app }), String(port))
    },
  },
  {
    name: "forward service",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const port = await freePort()
      const env = use.environment(await use.stage.endpoint(app.id))
      const args = [
        "forward",
        "service",
        app.name,
        "--target-port",
        String(app.port),
        "--local",
        String(port),
      ]
      const child = spawn(use.tools.openshell, args, { env, stdio: "ignore" })
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
      try {
        await until("the service answers", async () => (await fetch(`http://127.0.0.1:${port}/`)).ok)
        await speak(`http://127.0.0.1:${port}`)
        equal(child.exitCode, null, "it still runs")
      } finally {
        child.kill("SIGTERM")
        await ended
      }
    },
  },
]
