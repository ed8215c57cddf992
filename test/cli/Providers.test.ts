/** `holdfast provider`, `holdfast sandbox provider` and `holdfast inference` against operations on a store. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { attachmentOperations } from "../../src/api/AttachmentMethods.ts"
import { bind } from "../../src/api/Endpoint.ts"
import { inferenceOperations } from "../../src/api/InferenceMethods.ts"
import { developer } from "../../src/api/Principal.ts"
import { profileOperations } from "../../src/api/ProfileMethods.ts"
import { providerOperations } from "../../src/api/ProviderMethods.ts"
import { sandboxOperations } from "../../src/api/SandboxMethods.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { inference } from "../../src/wire/openshell-v1/Inference.ts"
import { profiles } from "../../src/wire/openshell-v1/ProviderProfiles.ts"
import { providers } from "../../src/wire/openshell-v1/Providers.ts"
import { sandboxes } from "../../src/wire/openshell-v1/Sandboxes.ts"
import { type ApiServer, startApi } from "../kit/ApiServer.ts"
import { aSandbox, storeKit } from "../kit/Stores.ts"
import { withVault } from "../kit/Vault.ts"
import { commandLine } from "./InProcess.ts"

const secret = "cli-canary-51"

const kit = storeKit("sqlite")
let api: ApiServer
let folder = ""

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-test-cli-providers-"))
  api = await startApi(kit.fresh(), { "": developer }, [
    bind(providers.create, withVault(providerOperations.create)),
    bind(providers.get, providerOperations.get),
    bind(providers.list, providerOperations.list),
    bind(providers.update, withVault(providerOperations.update)),
    bind(providers.delete, providerOperations.delete),
    bind(providers.ofSandbox, attachmentOperations.ofSandbox),
    bind(providers.attach, attachmentOperations.attach),
    bind(providers.detach, attachmentOperations.detach),
    bind(profiles.list, profileOperations.list),
    bind(profiles.get, profileOperations.get),
    bind(sandboxes.list, sandboxOperations.list),
    bind(inference.set, withVault(inferenceOperations.set)),
    bind(inference.get, inferenceOperations.get),
    bind(inference.delete, inferenceOperations.delete),
  ])
  await api.run(Effect.flatMap(Sandboxes, (store) => store.insert(aSandbox({ name: "demo" }))))
}, 60_000)
afterAll(async () => {
  await api?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const { holdfast, json } = commandLine(
  () => api.url,
  ({ stdout, stderr }) => expect(`${stdout}${stderr}`).not.toContain(secret),
)

describe("holdfast provider", () => {
  it("takes credentials from the environment and from files, and shows their names only", async () => {
    const file = join(folder, "token")
    writeFileSync(file, `${secret}\n`)
    process.env.CLI_TEST_KEY = secret
    const created = await holdfast(
      ...["provider", "create", "mine", "--type", "generic", "--credential", "CLI_TEST_KEY"],
      ...["--credential-file", `OTHER=${file}`, "--config", "region=eu", "--expires", "OTHER=2100-01-01"],
    )
    expect(created).toEqual({ code: 0, stdout: "", stderr: 'Created provider "mine".\n' })
    expect(await json("provider", "get", "mine")).toMatchObject({
      name: "mine",
      type: "generic",
      credentialKeys: ["CLI_TEST_KEY", "OTHER"],
      config: { region: "eu" },
      credentialExpiresAtMs: { OTHER: Date.parse("2100-01-01") },
    })
    expect((await holdfast("provider", "get", "mine")).stdout).toMatch(
      /^Name: +mine\n[\s\S]*Credentials: +CLI_TEST_KEY, OTHER \(until 2100-01-01T00:00:00.000Z\)\n/,
    )
    expect((await holdfast("provider", "ls")).stdout).toMatch(
      /^NAME +TYPE +CREDENTIALS +AGE\nmine +generic +CLI_TEST_KEY,OTHER +\d+s\n$/,
    )
  })

  it("takes what the environment has of a profile", async () => {
    process.env.GH_TOKEN = secret
    try {
      await holdfast("provider", "create", "hub", "--type", "github", "--from-env")
    } finally {
      delete process.env.GH_TOKEN
    }
    expect(await json("provider", "get", "hub")).toMatchObject({ credentialKeys: ["GH_TOKEN"] })
    const none = await holdfast("provider", "create", "hub2", "--type", "gitlab", "--from-env")
    expect(none).toMatchObject({ code: 2 })
    expect(none.stderr).toContain("the environment has none of GITLAB_TOKEN, GLAB_TOKEN")
  })

  it("changes what is named and leaves the rest", async () => {
    expect(
      await json("provider", "update", "mine", "--remove-credential", "OTHER", "--config", "region="),
    ).toMatchObject({ credentialKeys: ["CLI_TEST_KEY"], config: {}, resourceVersion: 2 })
    const stale = await holdfast("provider", "update", "mine", "--config", "a=b", "--if-version", "1")
    expect(stale).toMatchObject({ code: 8 })
    expect(stale.stderr).toContain("current resource_version: 2")
  })

  it("says what is wrong, with the exit code of the error", async () => {
    const unset = await holdfast("provider", "create", "x", "--type", "t", "--credential", "CLI_TEST_UNSET")
    expect(unset).toMatchObject({ code: 2 })
    expect(unset.stderr).toContain("the environment has no CLI_TEST_UNSET")
    expect((await holdfast("provider", "get", "nobody")).code).toBe(5)
    expect((await holdfast("provider", "create", "x")).code).toBe(2)
    const badTime = await holdfast("provider", "update", "mine", "--expires", "CLI_TEST_KEY=soon")
    expect(badTime.stderr).toContain("--expires CLI_TEST_KEY=soon: not a time")
  })

  it("lists the kinds of provider", async () => {
    expect((await holdfast("provider", "profiles")).stdout).toMatch(
      /^PROFILE +CATEGORY +INFERENCE +VARIABLES\n/,
    )
    expect((await holdfast("provider", "profiles", "-o", "name")).stdout).toContain("openai\n")
  })
})

describe("holdfast sandbox provider", () => {
  it("attaches, lists and detaches", async () => {
    expect((await holdfast("sandbox", "provider", "attach", "demo", "mine", "hub")).code).toBe(0)
    expect((await holdfast("sandbox", "provider", "attach", "demo", "mine")).stderr).toContain("already")
    expect((await holdfast("sandbox", "provider", "list", "demo", "-o", "name")).stdout).toBe("mine\nhub\n")
    expect((await holdfast("provider", "delete", "mine")).code).toBe(7)
    expect(await json("sandbox", "provider", "detach", "demo", "mine")).toEqual({
      sandbox: "demo",
      provider: "mine",
      changed: true,
    })
    expect((await holdfast("provider", "delete", "mine")).stderr).toBe('Deleted provider "mine".\n')
    expect((await holdfast("sandbox", "provider", "attach", "dmeo", "hub")).stderr).toContain(
      'Did you mean "demo"?',
    )
  })
})

describe("holdfast inference", () => {
  it("sets, shows and deletes a route", async () => {
    process.env.OPENAI_API_KEY = secret
    try {
      await holdfast("provider", "create", "model", "--type", "openai", "--credential", "OPENAI_API_KEY")
    } finally {
      delete process.env.OPENAI_API_KEY
    }
    const set = ["inference", "set", "--provider", "model", "--model", "m-1"]
    expect((await holdfast(...set, "--no-verify", "--request-timeout", "30")).stderr).toBe(
      'Route "inference.local" goes to model "m-1" of provider "model", not verified.\n',
    )
    expect(await json("inference", "get")).toEqual({
      providerName: "model",
      modelId: "m-1",
      version: 1,
      routeName: "inference.local",
      timeoutSecs: 30,
      workspace: "default",
    })
    expect((await holdfast("inference", "get", "--system")).code).toBe(5)
    expect(await json("inference", "delete")).toEqual({ routeName: "inference.local", deleted: true })
    expect((await holdfast("inference", "delete")).stderr).toBe('There is no route "inference.local".\n')
  })
})
