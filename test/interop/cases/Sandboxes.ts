/** Life of a sandbox, by the command line. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { type Case, equal, includes, lacks, until } from "./Case.ts"

const sleeper = ["--", "sleep", "100000"]

export const sandboxCases: ReadonlyArray<Case> = [
  {
    name: "status",
    supervisors: "none",
    run: async (use) => includes(await use.text(["status"]), "Connected", "Not required"),
  },
  {
    name: "whoami",
    supervisors: "none",
    run: async (use) => includes(await use.text(["whoami"]), "Subject:", "openshell-admin"),
  },
  {
    name: "gateway add and list",
    supervisors: "none",
    run: async (use) => {
      const endpoint = await use.stage.endpoint()
      const store = { stored: true, env: { XDG_CONFIG_HOME: use.stage.directory() } }
      await use.cli(["gateway", "add", endpoint, "--name", "cluster"], store)
      includes(await use.text(["gateway", "list"], store), "cluster", endpoint)
      includes(await use.text(["-g", "cluster", "status"], store), "Connected")
    },
  },
  {
    name: "create, waiting for its command",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      const { stdout } = await use.cli(
        [
          "sandbox",
          "create",
          "--name",
          name,
          "--no-keep",
          "--no-tty",
          "--",
          "sh",
          "-c",
          "sleep 2; echo made $((40 + 2))",
        ],
        {},
      )
      includes(stdout.toString(), `Created sandbox: ${name}`, "made 42", `Deleted sandbox ${name}`)
      lacks(await use.text(["sandbox", "list", "--names"]), name)
    },
  },
  {
    name: "create, whose command fails",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      const command = ["sh", "-c", "sleep 2; exit 3"]
      const { stderr } = await use.cli(
        ["sandbox", "create", "--name", name, "--no-keep", "--no-tty", "--", ...command],
        { code: 1 },
      )
      includes(stderr, "exit status: 3")
    },
  },
  {
    name: "create, detached, with labels and variables",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      const extras = ["--label", "team=blue", "--label", `of=${name}`, "--env", "COLOUR=deep blue"]
      await use.cli(["sandbox", "create", "--name", name, "--detach", ...extras, ...sleeper])
      const place = await use.stage.find(name)
      includes(await use.text(["sandbox", "list", "--selector", `of=${name}`], { of: place }), name)
      lacks(await use.text(["sandbox", "list", "--selector", `of=${name},team=red`], { of: place }), name)
      const { stdout } = await use.cli(["sandbox", "exec", "-n", name, "--", "printenv", "COLOUR"], {
        of: place,
      })
      equal(stdout.toString(), "deep blue\n", "the variable")
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
  {
    name: "create, with an upload",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      const directory = path.join(use.stage.directory(), "tree")
      mkdirSync(directory)
      writeFileSync(path.join(directory, "a file"), "content\n")
      await use.cli(["sandbox", "create", "--name", name, "--detach", "--upload", `${directory}:in/here`])
      const place = await use.stage.find(name)
      const command = ["sh", "-c", "find in -type f -exec cat {} +"]
      const { stdout } = await use.cli(["sandbox", "exec", "-n", name, "--", ...command], { of: place })
      equal(stdout.toString(), "content\n", "the uploaded file")
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
  {
    name: "list and get",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const listed: ReadonlyArray<Readonly<Record<string, unknown>>> = JSON.parse(
        await use.text(["sandbox", "list", "-o", "json"], { of: app }),
      )
      const row = listed.find(({ name }) => name === app.name)
      equal([row?.id, row?.phase, row?.workspace], [app.id, "Ready", "default"], "the listed row")
      const got = JSON.parse(await use.text(["sandbox", "get", app.name, "-o", "json"], { of: app }))
      equal([got.id, got.phase], [app.id, "Ready"], "the sandbox")
      includes(await use.text(["sandbox", "get", app.name], { of: app }), app.id, "Ready")
      includes(await use.text(["sandbox", "list", "--ids"], { of: app }), app.id)
      includes(await use.text(["sandbox", "list", "-o", "yaml"], { of: app }), app.name)
    },
  },
  {
    name: "stop and start",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      await use.cli(["sandbox", "create", "--name", name, "--detach", ...sleeper])
      const place = await use.stage.find(name)
      const sh = (script: string) =>
        use.text(["sandbox", "exec", "-n", name, "--", "sh", "-c", script], { of: place })
      await sh("echo kept > file")
      includes(await use.text(["sandbox", "stop", name], { of: place }), `Stopped sandbox ${name}`)
      includes(await use.text(["sandbox", "get", name], { of: place }), "Stopped")
      const refused = await use.tryCli(["sandbox", "exec", "-n", name, "--", "true"], { of: place })
      equal(refused.code, 1, "exec in a stopped sandbox")
      await use.cli(["sandbox", "stop", name], { of: place })
      includes(await use.text(["sandbox", "start", name], { of: place }), `Started sandbox ${name}`)
      equal(await sh("cat file"), "kept\n", "the file from before")
      await use.cli(["sandbox", "start", name], { of: place })
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
  {
    name: "delete",
    supervisors: "both",
    run: async (use) => {
      const [first, second] = [use.name(), use.name()]
      for (const name of [first, second])
        await use.cli(["sandbox", "create", "--name", name, "--detach", ...sleeper])
      const place = await use.stage.find(first)
      includes(await use.text(["sandbox", "delete", first, second], { of: place }), first, second)
      await until("both are gone", async () => {
        const names = await use.text(["sandbox", "list", "--names"])
        return !names.includes(first) && !names.includes(second)
      })
      const { stderr } = await use.cli(["sandbox", "get", first], { code: 1 })
      includes(stderr, "sandbox not found")
    },
  },
  {
    name: "a main process that ends",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      await use.cli(["sandbox", "create", "--name", name, "--detach", "--", "sh", "-c", "sleep 1; exit 5"])
      await until("it is in error", async () => (await use.text(["sandbox", "get", name])).includes("Error"))
      await use.cli(["sandbox", "delete", name])
    },
  },
]
