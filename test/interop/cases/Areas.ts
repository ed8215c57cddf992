/** Services, workspaces, policies, settings, providers and inference, by the command line. */
import { writeFileSync } from "node:fs"
import { request } from "node:http"
import { type Case, equal, includes, lacks, type Use, until } from "./Case.ts"

/** One HTTP request whose Host header is not where it goes. */
const get = (address: URL, host: string): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port: address.port, path: "/below?x=1", headers: { host }, timeout: 20_000 },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.once("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        )
      },
    )
    asked.once("timeout", () => asked.destroy(new Error("no answer in 20 s")))
    asked.once("error", reject)
    asked.end()
  })

const policy = (host: string): string => `version: 1
network_policies:
  first_rule:
    name: first-rule
    endpoints:
      - host: ${host}
        port: 443
    binaries:
      - path: /usr/bin/curl
`

const policyFile = (use: Use, host: string): string => {
  const file = `${use.stage.directory()}/policy.yaml`
  writeFileSync(file, policy(host))
  return file
}

const provider = async (use: Use, name: string): Promise<void> => {
  const credential = ["--credential", "OPENAI_API_KEY=sk-interop-secret"]
  await use.cli(["provider", "create", "--name", name, "--type", "openai", ...credential])
}

export const areaCases: ReadonlyArray<Case> = [
  {
    name: "service expose, list, get, HTTP, delete",
    supervisors: "both",
    needs: "ExposeService",
    run: async (use) => {
      const app = await use.app()
      const shown = await use.text(["service", "expose", app.name, String(app.port), "web"], { of: app })
      includes(shown, app.name)
      includes(await use.text(["service", "list"], { of: app }), app.name, "web")
      includes(await use.text(["service", "list", app.name], { of: app }), "web")
      const got = await use.text(["service", "get", app.name, "web"], { of: app })
      const url = /https?:\/\/\S+/.exec(got)?.[0] ?? /https?:\/\/\S+/.exec(shown)?.[0] ?? ""
      includes(url, `default--${app.name}--web.`)
      const address = new URL(await use.stage.endpoint(app.id))
      const answer = await get(address, new URL(url).host)
      equal(answer.status, 200, answer.body)
      includes(answer.body, '"url":"/below?x=1"')
      await use.cli(["service", "delete", app.name, "web"], { of: app })
      equal((await get(address, new URL(url).host)).status, 404, "after it was deleted")
    },
  },
  {
    name: "workspace and member commands",
    supervisors: "none",
    needs: "CreateWorkspace",
    run: async (use) => {
      const name = use.stage.name("ws")
      const member = ["--workspace", name, "--subject", "somebody"]
      await use.cli(["workspace", "create", "--name", name, "--label", "a=b"])
      includes(await use.text(["workspace", "list"]), name, "default")
      includes(await use.text(["workspace", "get", name]), name)
      await use.cli(["workspace", "member", "add", ...member, "--role", "user"])
      includes(await use.text(["workspace", "member", "list", "--workspace", name]), "somebody")
      await use.cli(["workspace", "member", "remove", ...member])
      lacks(await use.text(["workspace", "member", "list", "--workspace", name]), "somebody")
      await use.cli(["workspace", "delete", name])
      const { stderr } = await use.cli(["workspace", "get", name], { code: 1 })
      includes(stderr, "not found")
    },
  },
  {
    name: "sandbox in a workspace",
    supervisors: "both",
    needs: "CreateWorkspace",
    run: async (use) => {
      const workspace = use.stage.name("ws")
      const name = use.name()
      const inside = ["--workspace", workspace]
      await use.cli(["workspace", "create", "--name", workspace])
      await use.cli(["sandbox", "create", ...inside, "--name", name, "--detach", "--", "sleep", "100000"])
      const place = await use.stage.find(name, workspace)
      includes(await use.text(["sandbox", "list", ...inside, "--names"], { of: place }), name)
      lacks(await use.text(["sandbox", "list", "--names"], { of: place }), name)
      includes(await use.text(["sandbox", "list", "--all-workspaces"], { of: place }), name)
      const said = await use.text(["sandbox", "exec", ...inside, "-n", name, "--", "echo", "in"], {
        of: place,
      })
      equal(said, "in\n", "exec")
      const { stderr } = await use.tryCli(["workspace", "delete", workspace])
      includes(stderr, "still contains resources")
      await use.cli(["sandbox", "delete", ...inside, name], { of: place })
      await until("the workspace can go", async () => {
        await use.cli(["workspace", "delete", workspace])
        return true
      })
    },
  },
  {
    name: "policy set, wait, get, list, update",
    supervisors: "both",
    needs: "UpdateConfig",
    run: async (use) => {
      const name = use.name()
      const first = policyFile(use, "first.example.com")
      await use.cli([
        "sandbox",
        "create",
        "--name",
        name,
        "--detach",
        "--policy",
        first,
        "--",
        "sleep",
        "100000",
      ])
      const place = await use.stage.find(name)
      includes(await use.text(["policy", "get", name, "--full"], { of: place }), "first.example.com")
      const second = policyFile(use, "second.example.com")
      const set = ["policy", "set", name, "--policy", second, "--wait"]
      const waited = await use.tryCli(set, { of: place, timeoutMs: 90_000 })
      // Ours enforces nothing and says so; the double says that it has loaded what it is given.
      if (use.kind === "own") includes(waited.stderr + waited.stdout, "does not enforce: network rules")
      equal(waited.code, use.kind === "own" ? 1 : 0, `${waited.stdout}${waited.stderr}`)
      includes(await use.text(["policy", "get", name, "--full"], { of: place }), "second.example.com")
      includes(await use.text(["sandbox", "get", name, "--policy-only"], { of: place }), "second.example.com")
      const endpoint = ["--add-endpoint", "third.example.com:443:read-only:rest:enforce"]
      await use.cli(["policy", "update", name, ...endpoint, "--binary", "/usr/bin/curl"], { of: place })
      includes(
        await use.text(["policy", "get", name, "--full"], { of: place }),
        "second.example.com",
        "third.example.com",
      )
      includes(await use.text(["policy", "list", name], { of: place }), "1", "2", "3")
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
  {
    name: "policy of the gateway",
    supervisors: "none",
    needs: "UpdateConfig",
    run: async (use) => {
      await use.cli(["policy", "set", "--global", "--yes", "--policy", policyFile(use, "global.example.com")])
      try {
        includes(await use.text(["policy", "get", "--global", "--full"]), "global.example.com")
        includes(await use.text(["policy", "list", "--global"]), "1")
      } finally {
        await use.cli(["policy", "delete", "--global", "--yes"])
      }
    },
  },
  {
    name: "settings of a sandbox and of the gateway",
    supervisors: "both",
    needs: "UpdateConfig",
    run: async (use) => {
      const app = await use.app()
      const key = ["--key", "ocsf_json_enabled"]
      await use.cli(["settings", "set", app.name, ...key, "--value", "true"], { of: app })
      includes(await use.text(["settings", "get", app.name], { of: app }), "ocsf_json_enabled", "true")
      await use.cli(["settings", "delete", app.name, ...key], { of: app })
      await use.cli(["settings", "set", "--global", "--yes", ...key, "--value", "true"])
      includes(await use.text(["settings", "get", "--global"]), "ocsf_json_enabled", "true")
      await use.cli(["settings", "delete", "--global", "--yes", ...key])
      const { stderr } = await use.cli(
        ["settings", "set", app.name, "--key", "no_such_key", "--value", "1"],
        { of: app, code: 1 },
      )
      includes(stderr, "setting key")
    },
  },
  {
    name: "provider create, list, get, update, delete",
    supervisors: "none",
    needs: "CreateProvider",
    run: async (use) => {
      const name = use.stage.name("prov")
      await provider(use, name)
      const listed = await use.text(["provider", "list"])
      includes(listed, name, "openai")
      const got = await use.text(["provider", "get", name])
      includes(got, name, "OPENAI_API_KEY")
      lacks(listed + got, "sk-interop-secret")
      await use.cli(["provider", "update", name, "--config", "OPENAI_BASE_URL=https://api.example.com/v1"])
      includes(await use.text(["provider", "get", name]), "OPENAI_BASE_URL")
      await use.cli(["provider", "list-profiles"])
      await use.cli(["provider", "delete", name])
      lacks(await use.text(["provider", "list", "--names"]), name)
    },
  },
  {
    name: "provider of a sandbox",
    supervisors: "both",
    needs: "AttachSandboxProvider",
    run: async (use) => {
      const name = use.name()
      const first = use.stage.name("prov")
      await provider(use, first)
      await use.cli([
        "sandbox",
        "create",
        "--name",
        name,
        "--detach",
        "--provider",
        first,
        "--",
        "sleep",
        "100000",
      ])
      const place = await use.stage.find(name)
      includes(await use.text(["sandbox", "provider", "list", name], { of: place }), first)
      const shown = await use.text(["sandbox", "exec", "-n", name, "--", "printenv", "OPENAI_API_KEY"], {
        of: place,
      })
      equal(shown.trim() === "", false, "the variable of the credential")
      await use.cli(["sandbox", "provider", "detach", name, first], { of: place })
      lacks(await use.text(["sandbox", "provider", "list", name], { of: place }), first)
      await use.cli(["sandbox", "provider", "attach", name, first], { of: place })
      await use.cli(["provider", "delete", first], { code: 1 })
      await use.cli(["sandbox", "delete", name], { of: place })
      await until("the provider can go", async () => {
        await use.cli(["provider", "delete", first])
        return true
      })
    },
  },
  {
    name: "inference set, get, update, delete",
    supervisors: "none",
    needs: "SetInferenceRoute",
    run: async (use) => {
      const name = use.stage.name("prov")
      await provider(use, name)
      await use.cli(["inference", "set", "--provider", name, "--model", "model-a", "--no-verify"])
      includes(await use.text(["inference", "get"]), name, "model-a")
      await use.cli(["inference", "update", "--model", "model-b", "--no-verify"])
      includes(await use.text(["inference", "get"]), name, "model-b")
      await use.cli(["inference", "set", "--system", "--provider", name, "--model", "model-s", "--no-verify"])
      includes(await use.text(["inference", "get", "--system"]), "model-s")
      await use.cli(["inference", "delete", "--system"])
      await use.cli(["inference", "delete"])
      lacks(await use.text(["inference", "get"]), "model-b")
      await use.cli(["provider", "delete", name])
    },
  },
]
