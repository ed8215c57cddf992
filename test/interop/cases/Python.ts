/** OpenShell's Python SDK, and its generated stubs on grpcio: each case is a function of a Python file. */
import path from "node:path"
import { Failed, mustRun } from "../Run.ts"
import type { Case, Use } from "./Case.ts"

const file = (name: string): string => path.join(import.meta.dirname, "..", "python", name)

const python = async (use: Use, script: string, name: string, env: Record<string, string> = {}) => {
  const app = await use.app()
  const endpoint = await use.stage.endpoint(app.id)
  const address = new URL(endpoint).host
  await mustRun(use.tools.python, [file(script), name, address, app.name, String(app.port)], {
    env: { ...use.environment(endpoint), PYTHONDONTWRITEBYTECODE: "1", ...env },
    timeoutMs: 120_000,
  })
}

interface Named {
  readonly name: string
  readonly supervisors?: Case["supervisors"]
  readonly needs?: string
}

const sdk: ReadonlyArray<Named> = [
  { name: "health", supervisors: "none" },
  { name: "sandbox" },
  { name: "exec" },
  { name: "exec_python" },
  { name: "life" },
  { name: "errors" },
  { name: "workspaces", supervisors: "none", needs: "CreateWorkspace" },
]

const stack: ReadonlyArray<Named> = [
  { name: "exec" },
  { name: "exec_cancel" },
  { name: "interactive" },
  { name: "interactive_pipes" },
  { name: "forward" },
  { name: "watch" },
  { name: "statuses" },
]

const caseOf = (script: string, title: string, { name, supervisors, needs }: Named): Case => ({
  name: `${title}: ${name}`,
  supervisors: supervisors ?? "both",
  ...(needs === undefined ? {} : { needs }),
  run: (use) => python(use, script, name),
})

export const pythonCases: ReadonlyArray<Case> = [
  ...sdk.map((one) => caseOf("sdk.py", "SDK", one)),
  {
    name: "SDK: context",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const env = { XDG_CONFIG_HOME: use.stage.directory() }
      const endpoint = await use.stage.endpoint(app.id)
      await use.cli(["gateway", "add", endpoint, "--name", "cluster"], { env, stored: true })
      await python(use, "sdk.py", "context", env)
    },
  },
  {
    name: "SDK: inference",
    supervisors: "none",
    needs: "SetInferenceRoute",
    run: async (use) => {
      const name = use.stage.name("prov")
      await use.cli([
        "provider",
        "create",
        "--name",
        name,
        "--type",
        "openai",
        "--credential",
        "OPENAI_API_KEY=sk-x",
      ])
      await python(use, "sdk.py", "inference", { PROVIDER: name })
      await use.cli(["provider", "delete", name])
    },
  },
  ...stack.map((one) => caseOf("stack.py", "grpcio", one)),
]

/** So that a file that was moved is noticed at once. */
export const checkFiles = async (): Promise<void> => {
  const { existsSync } = await import("node:fs")
  for (const name of ["sdk.py", "stack.py"])
    if (!existsSync(file(name))) throw new Failed(`${name} is missing`)
}
