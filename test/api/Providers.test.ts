/** Providers over a real listener, down to the environment of a process in a real sandbox. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { GrpcError } from "../../src/wire/grpc/GrpcError.ts"
import { Inference, OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { sh } from "../kit/Exec.ts"
import { until } from "../kit/Until.ts"

const { method } = OpenShell
/** Part of every credential of this file: must be found nowhere but in sandboxes. */
const canary = "canary-8d1f0b6e"

let cluster: TestCluster
let endpoint: Server
let endpointUrl = ""
const asked: Array<{ readonly url: string; readonly authorization: string }> = []

beforeAll(async () => {
  endpoint = createServer((request, response) => {
    const authorization = String(request.headers.authorization)
    asked.push({ url: String(request.url), authorization })
    const refused = !authorization.includes("good")
    response.writeHead(refused ? 401 : 200, { "content-type": "application/json" }).end("{}")
  })
  await new Promise<void>((resolve) => endpoint.listen(0, "127.0.0.1", resolve))
  endpointUrl = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/v1`
  cluster = await TestCluster.start({
    replicas: 1,
    database: "sqlite",
    environment: () => ({ HOLDFAST_LOG_LEVEL: "trace", HOLDFAST_EXTENSION_SERVICES: "scanner,plain=" }),
  })
}, 60_000)
afterAll(async () => {
  endpoint?.close()
  await cluster?.stop()
}, 60_000)

const ask: TestCluster["ask"] = (one, request, asSandbox) => cluster.ask(one, request, asSandbox)

const refusal = async (asking: Promise<unknown>): Promise<{ code: number; message: string }> => {
  const error = await asking.then(
    () => new Error("not refused"),
    (cause: unknown) => cause,
  )
  if (!(error instanceof GrpcError)) throw error
  return { code: error.code, message: error.message }
}

interface ProviderChanges {
  readonly type?: string
  readonly credentials?: Record<string, string>
  readonly config?: Record<string, string>
  readonly credentialExpiresAtMs?: Record<string, bigint>
}

const provide = async (name: string, changes: ProviderChanges = {}) => {
  const { provider } = await ask(method.createProvider, {
    provider: {
      metadata: { name },
      type: "generic",
      credentials: { [`${name.toUpperCase()}_KEY`]: `${canary}-${name}` },
      ...changes,
    },
  })
  if (provider === undefined) throw new Error("no provider in the answer")
  return provider
}

const attach = (sandboxName: string, providerName: string, expectedResourceVersion = 0n) =>
  ask(method.attachSandboxProvider, { sandboxName, providerName, expectedResourceVersion })
const detach = (sandboxName: string, providerName: string) =>
  ask(method.detachSandboxProvider, { sandboxName, providerName })
const environmentOf = (sandboxId: string, supportsStaticCredentialBindings = true) =>
  ask(method.getSandboxProviderEnvironment, { sandboxId, supportsStaticCredentialBindings }, sandboxId)

describe("a provider", () => {
  it("shows the names of its credentials and never a value", async () => {
    const made = await provide("shown", { config: { region: "eu" } })
    expect(made).toMatchObject({
      type: "generic",
      config: { region: "eu" },
      credentials: { SHOWN_KEY: "REDACTED" },
      metadata: { name: "shown", workspace: "default", resourceVersion: 1n },
    })
    const { provider } = await ask(method.getProvider, { name: "shown" })
    expect(provider).toEqual(made)
    const { providers } = await ask(method.listProviders, {})
    expect(providers).toContainEqual(made)
  })

  it("keeps what an update does not name, replaces what it does, and drops what it empties", async () => {
    const made = await provide("merged", {
      credentials: { A: `${canary}-a`, B: `${canary}-b`, C: `${canary}-c` },
      credentialExpiresAtMs: { A: 4_000_000_000_000n, B: 4_000_000_000_000n },
      config: { keep: "1", drop: "2" },
    })
    const id = (await cluster.create("merging", { providers: ["merged"] })).metadata?.id ?? ""
    const { provider } = await ask(method.updateProvider, {
      provider: {
        metadata: { name: "merged", resourceVersion: 1n },
        credentials: { A: "REDACTED", B: `${canary}-b2`, C: "", D: `${canary}-d` },
        config: { drop: "" },
      },
    })
    expect(provider).toMatchObject({
      metadata: { id: made.metadata?.id, resourceVersion: 2n },
      credentials: { A: "REDACTED", B: "REDACTED", D: "REDACTED" },
      config: { keep: "1" },
      credentialExpiresAtMs: { A: 4_000_000_000_000n },
    })
    expect((await environmentOf(id)).environment).toEqual({
      A: `${canary}-a`,
      B: `${canary}-b2`,
      D: `${canary}-d`,
    })
    const stale = await refusal(
      ask(method.updateProvider, { provider: { metadata: { name: "merged", resourceVersion: 1n } } }),
    )
    expect(stale).toEqual({
      code: Status.ABORTED,
      message: "provider update failed due to concurrent modification (current resource_version: 2)",
    })
  })

  it("is not deleted while a sandbox has it", async () => {
    await provide("wanted")
    await cluster.create("wanting", { providers: ["wanted"] })
    const refused = await refusal(ask(method.deleteProvider, { name: "wanted" }))
    expect(refused).toEqual({
      code: Status.FAILED_PRECONDITION,
      message: "provider 'wanted' is attached to sandboxes: wanting",
    })
    await detach("wanting", "wanted")
    expect(await ask(method.deleteProvider, { name: "wanted" })).toMatchObject({ deleted: true })
    expect(await ask(method.deleteProvider, { name: "wanted" })).toMatchObject({ deleted: false })
  })
})

describe("provider profiles", () => {
  it("are those that come with the gateway, page by page", async () => {
    const { profiles } = await ask(method.listProviderProfiles, {})
    expect(profiles.map(({ id }) => id)).toEqual(expect.arrayContaining(["claude-code", "github", "openai"]))
    const second = await ask(method.listProviderProfiles, { limit: 1, offset: 1 })
    expect(second.profiles.map(({ id }) => id)).toEqual([profiles[1]?.id])
    const { profile } = await ask(method.getProviderProfile, { id: "openai" })
    expect(profile).toMatchObject({ inferenceCapable: true, source: "builtin", scope: "global" })
  })

  it("can be looked over without being kept", async () => {
    const item = (changes: object) => ({
      source: "mine.yaml",
      profile: { id: "mine", displayName: "Mine", ...changes },
    })
    expect(await ask(method.lintProviderProfiles, { profiles: [item({})] })).toMatchObject({
      valid: true,
      diagnostics: [],
    })
    const credentials = [
      { name: "a", envVars: ["1X"] },
      { name: "a", authStyle: "header" },
    ]
    const { valid, diagnostics } = await ask(method.lintProviderProfiles, {
      profiles: [item({ id: "openai", credentials })],
    })
    expect(valid).toBe(false)
    expect(diagnostics.map(({ field, message }) => `${field} ${message}`)).toEqual([
      "id 'openai' is a built-in profile",
      "credentials[0].env_vars '1X' is no variable",
      "credentials[1].name is used twice",
      "credentials[1].header_name is required with auth_style 'header'",
    ])
  })
})

describe("the providers of a sandbox", () => {
  it("reach its processes, also when they change while it runs", async () => {
    await provide("first")
    await provide("second")
    const command = ["sh", "-c", "printenv FIRST_KEY > main.txt; exec sleep 1000"]
    const id = (await cluster.create("running", { providers: ["first"], command })).metadata?.id ?? ""
    await cluster.ready("running")
    const connection = await cluster.connection("replica-1")
    const seen = async () =>
      (await sh(connection, id, "echo ${FIRST_KEY:-} ${SECOND_KEY:-}")).stdout.toString()
    expect(await seen()).toBe(`${canary}-first\n`)
    const main = await sh(
      connection,
      id,
      "until [ -s main.txt ]; do sleep 0.05; done; cat main.txt; rm main.txt",
    )
    expect(main.stdout.toString()).toBe(`${canary}-first\n`)
    expect(await attach("running", "second")).toMatchObject({ attached: true })
    await until("the second arrives", async () => (await seen()) === `${canary}-first ${canary}-second\n`)
    await ask(method.updateProvider, {
      provider: { metadata: { name: "second" }, credentials: { SECOND_KEY: `${canary}-changed` } },
    })
    await until("the change arrives", async () => (await seen()) === `${canary}-first ${canary}-changed\n`)
    expect(await detach("running", "first")).toMatchObject({ detached: true })
    await until("the first leaves", async () => (await seen()) === `${canary}-changed\n`)
  }, 60_000)

  it("are listed in the order in which they were attached; a second time changes nothing", async () => {
    for (const name of ["l1", "l2"]) await provide(name)
    await cluster.create("listing")
    expect(await attach("listing", "l2")).toMatchObject({ attached: true })
    expect(await attach("listing", "l1")).toMatchObject({ attached: true })
    expect(await attach("listing", "l1")).toMatchObject({ attached: false })
    const { providers } = await ask(method.listSandboxProviders, { sandboxName: "listing" })
    expect(providers.map(({ metadata }) => metadata?.name)).toEqual(["l2", "l1"])
    expect(await detach("listing", "l2")).toMatchObject({ detached: true })
    expect(await detach("listing", "l2")).toMatchObject({ detached: false })
  })

  it("bring the rules of their profiles, bindings, and a revision that follows them", async () => {
    await provide("hub", { type: "github", credentials: { token: `${canary}-hub` } })
    const policy = { version: 1, networkPolicies: {} }
    const id = (await cluster.create("bound", { policy })).metadata?.id ?? ""
    const before = await ask(method.getSandboxConfig, { sandboxId: id }, id)
    expect(before.providerEnvRevision).toBe(0n)
    await attach("bound", "hub")
    const after = await ask(method.getSandboxConfig, { sandboxId: id }, id)
    expect(Object.keys(after.policy?.networkPolicies ?? {})).toEqual(["_provider_hub"])
    const environment = await environmentOf(id)
    expect(environment.environment).toEqual({
      GITHUB_TOKEN: `${canary}-hub`,
      GH_TOKEN: `${canary}-hub`,
    })
    expect(environment.providerEnvRevision).toBe(after.providerEnvRevision)
    expect(environment.staticCredentialBindings.GITHUB_TOKEN?.endpoints).toContainEqual(
      expect.objectContaining({ host: "api.github.com", port: 443 }),
    )
    expect((await environmentOf(id, false)).staticCredentialBindings).toEqual({})
  })

  it("lose a credential when it expires", async () => {
    await provide("brief", {
      credentials: { LASTS: `${canary}-1`, ENDED: `${canary}-2` },
      credentialExpiresAtMs: { LASTS: 4_000_000_000_000n, ENDED: 1n },
    })
    const id = (await cluster.create("expiring", { providers: ["brief"] })).metadata?.id ?? ""
    const { environment, credentialExpiresAtMs } = await environmentOf(id)
    expect(environment).toEqual({ LASTS: `${canary}-1` })
    expect(credentialExpiresAtMs).toEqual({ LASTS: 4_000_000_000_000n })
    const { credentials } = await ask(method.getProviderRefreshStatus, { provider: "brief" })
    expect(credentials.map(({ credentialKey, status }) => [credentialKey, status])).toEqual([
      ["ENDED", "expired"],
      ["LASTS", "static"],
    ])
  })

  it("never set one variable twice, however they come together", async () => {
    await provide("one", { credentials: { SHARED: `${canary}-x` } })
    await provide("two", { credentials: { SHARED: `${canary}-y` } })
    await provide("three", { credentials: { OTHER: `${canary}-z` } })
    const conflict = {
      code: Status.FAILED_PRECONDITION,
      message: "provider environment conflict: 'SHARED' is set by 'one.SHARED' and by 'two.SHARED'",
    }
    expect(await refusal(cluster.create("clash", { providers: ["one", "two"] }))).toEqual(conflict)
    await cluster.create("clashing", { providers: ["one", "three"] })
    expect(await refusal(attach("clashing", "two"))).toEqual({
      ...conflict,
      message: conflict.message,
    })
    const update = ask(method.updateProvider, {
      provider: { metadata: { name: "three" }, credentials: { SHARED: `${canary}-w` } },
    })
    expect(await refusal(update)).toMatchObject({
      code: Status.FAILED_PRECONDITION,
      message: "provider environment conflict: 'SHARED' is set by 'one.SHARED' and by 'three.SHARED'",
    })
  })

  it("change by compare-and-swap when a version is named", async () => {
    await provide("cas")
    const version = (await cluster.create("swapping")).metadata?.resourceVersion ?? 0n
    expect(await refusal(attach("swapping", "cas", version + 7n))).toMatchObject({
      code: Status.ABORTED,
      message: expect.stringMatching(
        /^provider attach failed due to concurrent modification \(current resource_version: \d+\)$/,
      ),
    })
  })
})

describe("inference routes", () => {
  const set = (changes: Record<string, unknown> = {}) =>
    ask(Inference.method.setInferenceRoute, { providerName: "model", modelId: "m-1", ...changes })

  it("are verified at their endpoint, kept, and given to sandboxes with the key", async () => {
    await provide("model", {
      type: "openai",
      credentials: { OPENAI_API_KEY: `${canary}-good` },
      config: { OPENAI_BASE_URL: endpointUrl },
    })
    const id = (await cluster.create("asking")).metadata?.id ?? ""
    const empty = await ask(Inference.method.getInferenceBundle, {}, id)
    expect(empty).toMatchObject({ routes: [] })
    const answer = await set({ timeoutSecs: 90n })
    expect(answer).toMatchObject({
      routeName: "inference.local",
      version: 1n,
      timeoutSecs: 90n,
      validationPerformed: true,
      validatedEndpoints: [{ url: endpointUrl, protocol: "openai_chat_completions" }],
    })
    expect(asked.at(-1)).toEqual({ url: "/v1/models", authorization: `Bearer ${canary}-good` })
    const bundle = await ask(Inference.method.getInferenceBundle, {}, id)
    expect(bundle.routes).toMatchObject([
      {
        name: "inference.local",
        baseUrl: endpointUrl,
        apiKey: `${canary}-good`,
        modelId: "m-1",
        providerType: "openai",
        timeoutSecs: 90n,
      },
    ])
    expect(bundle.revision).toMatch(/^[0-9a-f]{16}$/)
    expect(bundle.revision).not.toBe(empty.revision)
    const again = await ask(Inference.method.getInferenceBundle, {}, id)
    expect(again.revision).toBe(bundle.revision)
  })

  it("are refused when their endpoint refuses the key, and set without asking where that is wanted", async () => {
    await ask(method.updateProvider, {
      provider: { metadata: { name: "model" }, credentials: { OPENAI_API_KEY: `${canary}-bad` } },
    })
    const refused = await refusal(set())
    expect(refused.code).toBe(Status.FAILED_PRECONDITION)
    expect(refused.message).toMatch(/^inference endpoint verification failed: .*the key is refused \(401\)/)
    expect(refused.message).not.toContain(canary)
    const before = asked.length
    expect(await set({ noVerify: true, routeName: "sandbox-system" })).toMatchObject({
      validationPerformed: false,
      routeName: "sandbox-system",
    })
    expect(asked.length).toBe(before)
  })

  it("are deleted, and their deletion twice is no fault", async () => {
    const name = { routeName: "sandbox-system" }
    expect(await ask(Inference.method.getInferenceRoute, name)).toMatchObject({ modelId: "m-1" })
    expect(await ask(Inference.method.deleteInferenceRoute, name)).toMatchObject({ deleted: true })
    expect(await ask(Inference.method.deleteInferenceRoute, name)).toMatchObject({ deleted: false })
    expect(await refusal(ask(Inference.method.getInferenceRoute, name))).toMatchObject({
      code: Status.NOT_FOUND,
    })
  })
})

describe("credentials for extension services", () => {
  const refresh = (sandboxId: string, ...extensionServiceNames: ReadonlyArray<string>) =>
    ask(method.refreshSandboxToken, { extensionServiceNames: [...extensionServiceNames] }, sandboxId)
  const claimsOf = (token: string): unknown =>
    JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())

  it("are for services that the policy goes through, last a quarter of an hour, and are no sandbox token", async () => {
    const middleware = (name: string) => ({ name, middleware: name })
    const networkMiddlewares = { a: middleware("scanner"), b: middleware("plain"), c: middleware("strange") }
    const policy = { version: 1, networkMiddlewares }
    const id = (await cluster.create("extended", { policy })).metadata?.id ?? ""
    const { token, extensionCredentials } = await refresh(id, "scanner")
    expect(await ask(method.getSandboxConfig, { sandboxId: id }, id)).toBeDefined()
    expect(claimsOf(token)).toMatchObject({ sandbox_id: id })
    const [credential, ...none] = extensionCredentials
    expect([credential?.serviceName, none]).toEqual(["scanner", []])
    const claims = claimsOf(credential?.token ?? "")
    expect(claims).toMatchObject({
      sub: `spiffe://openshell/sandbox/${id}`,
      aud: "urn:openshell:extension:middleware:scanner",
      caller_kind: "sandbox",
      jti: expect.any(String),
    })
    expect(Number(credential?.expiresAtMs) - Date.now()).toBeLessThanOrEqual(900_000)
    const posing = callUnary(
      await cluster.connection("replica-1"),
      method.getSandboxConfig,
      { sandboxId: id },
      { metadata: { authorization: `Bearer ${credential?.token}` } },
    )
    expect(await refusal(posing)).toEqual({
      code: Status.UNAUTHENTICATED,
      message: "extension tokens cannot authenticate to the gateway",
    })
    expect(await refusal(refresh(id, "plain"))).toEqual({
      code: Status.FAILED_PRECONDITION,
      message: "extension service 'plain' takes no credentials",
    })
    expect(await refusal(refresh(id, "strange"))).toEqual({
      code: Status.PERMISSION_DENIED,
      message: "extension service 'strange' is not selected by the sandbox policy",
    })
    for (let more = 1; more < 10; more++) await refresh(id, "scanner")
    expect(await refusal(refresh(id, "scanner"))).toEqual({
      code: Status.RESOURCE_EXHAUSTED,
      message: "extension credential minting rate limit exceeded for this sandbox",
    })
    expect((await refresh(id)).extensionCredentials).toEqual([])
  })
})

describe("credentials", () => {
  it("are in no file of the gateway: neither in its database nor in any log", async () => {
    const found: Array<string> = []
    let files = 0
    const look = (directory: string): void => {
      for (const name of readdirSync(directory)) {
        const path = join(directory, name)
        const stat = statSync(path, { throwIfNoEntry: false })
        if (stat?.isDirectory() === true) look(path)
        else if (stat?.isFile() === true) {
          files += 1
          if (readFileSync(path).includes(canary)) found.push(path)
        }
      }
    }
    look(cluster.stateDir)
    expect(found).toEqual([])
    expect(files).toBeGreaterThan(5)
  })
})
