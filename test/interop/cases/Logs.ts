/** What a sandbox says of itself. */
import { spawn } from "node:child_process"
import { Failed } from "../Run.ts"
import { type Case, includes, until } from "./Case.ts"

export const logCases: ReadonlyArray<Case> = [
  {
    name: "logs",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      await until("the line of the start is there", async () =>
        (await use.text(["logs", app.name, "--source", "sandbox", "-n", "500"], { of: app })).includes(
          "main process started",
        ),
      )
      await use.cli(["logs", app.name, "--since", "5m", "--level", "warn"], { of: app })
    },
  },
  {
    name: "logs as they come",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const env = use.environment(await use.stage.endpoint(app.id))
      const child = spawn(use.tools.openshell, ["logs", app.name, "--tail"], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
      })
      let text = ""
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => {
          text += chunk
        })
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
      try {
        await until("the tail begins", async () => text.includes("main process started"))
        if (child.exitCode !== null) throw new Failed(`it ended:\n${text}`)
      } finally {
        child.kill("SIGTERM")
        await ended
      }
      includes(text, "[sandbox]")
    },
  },
]
