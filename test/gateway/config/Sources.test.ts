import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { effective } from "../../../src/gateway/config/Effective.ts"
import { type Environment, type Flags, gather } from "../../../src/gateway/config/Gather.ts"
import { fromOpenShell } from "../../../src/gateway/config/OpenShellVariables.ts"
import { lineOf } from "../../../src/gateway/config/Problem.ts"
import { inspect } from "../../../src/gateway/GatewaySettings.ts"
import type { SettingName } from "../../../src/gateway/SettingsTable.ts"

let directory = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-config-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const write = (text: string, name = "h.toml"): string => {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const required = {
  HOLDFAST_DATABASE_URL: "postgres://holdfast:hunter2@db:5432/holdfast?password=hunter2",
  HOLDFAST_PEER_CA: "ca",
  HOLDFAST_PEER_CERT: "cert",
  HOLDFAST_PEER_KEY: "key",
  HOLDFAST_JWT_DIR: "jwt",
}

describe("the sources of settings", () => {
  it("win in the order flag, HOLDFAST_ variable, OPENSHELL_ variable, file, default", async () => {
    const config = write('[holdfast]\nlog_level = "trace"\n')
    const level = async (flags: Flags, environment: Environment) =>
      (await Effect.runPromise(gather(flags, environment))).given.get("logLevel")
    const both = { HOLDFAST_LOG_LEVEL: "warn", OPENSHELL_LOG_LEVEL: "error" }
    expect(await level({ config, logLevel: "debug" }, both)).toEqual({
      value: "debug",
      source: { kind: "flag" },
    })
    expect((await level({ config }, both))?.value).toBe("warn")
    expect(await level({ config }, { OPENSHELL_LOG_LEVEL: "error", HOLDFAST_LOG_LEVEL: "" })).toEqual({
      value: "error",
      source: { kind: "environment", variable: "OPENSHELL_LOG_LEVEL" },
    })
    expect(await level({ config }, {})).toEqual({
      value: "trace",
      source: { kind: "file", file: config, line: 2 },
    })
    expect(await level({}, {})).toBeUndefined()
  })

  it("include the file that a variable names, unless a flag names one", async () => {
    const ours = write('[holdfast]\nname = "ours"\n', "ours.toml")
    const theirs = write('[holdfast]\nname = "theirs"\n', "theirs.toml")
    const name = async (flags: Flags, environment: Environment) =>
      (await Effect.runPromise(gather(flags, environment))).given.get("name")?.value
    expect(await name({}, { OPENSHELL_GATEWAY_CONFIG: theirs })).toBe("theirs")
    expect(await name({}, { OPENSHELL_GATEWAY_CONFIG: theirs, HOLDFAST_CONFIG: ours })).toBe("ours")
    expect(await name({ config: theirs }, { HOLDFAST_CONFIG: ours })).toBe("theirs")
  })

  it("do not include a file that is not there or is no file", async () => {
    for (const config of [join(directory, "none.toml"), directory]) {
      const { problems } = await Effect.runPromise(gather({ config }, {}))
      expect(problems.map(lineOf)).toEqual([
        expect.stringContaining(`${config}: the configuration file cannot be read`),
      ])
    }
  })
})

describe("OpenShell's variables", () => {
  const of = (name: SettingName, environment: Environment) => fromOpenShell(name, environment)?.value

  it("that are two for one setting are joined", () => {
    expect(of("listen", { OPENSHELL_BIND_ADDRESS: "0.0.0.0", OPENSHELL_SERVER_PORT: "8080" })).toBe(
      "0.0.0.0:8080",
    )
    expect(of("listen", { OPENSHELL_BIND_ADDRESS: "::" })).toBe("[::]:17670")
    expect(of("listen", { OPENSHELL_SERVER_PORT: "8080" })).toBe("127.0.0.1:8080")
    expect(of("metricsListen", { OPENSHELL_HEALTH_PORT: "8081", OPENSHELL_METRICS_PORT: "9090" })).toBe(
      "127.0.0.1:8081,127.0.0.1:9090",
    )
    expect(of("metricsListen", { OPENSHELL_HEALTH_PORT: "0", OPENSHELL_METRICS_PORT: "" })).toBeUndefined()
  })

  it("are translated where the form differs", () => {
    expect(of("databaseUrl", { OPENSHELL_DB_URL: "sqlite:///var/lib/o.db?mode=rwc" })).toBe(
      "sqlite:/var/lib/o.db",
    )
    expect(of("databaseUrl", { OPENSHELL_DB_URL: "sqlite:o.db" })).toBe("sqlite:o.db")
    expect(of("databaseUrl", { OPENSHELL_DB_URL: "postgres://h/d?sslmode=require" })).toBe(
      "postgres://h/d?sslmode=require",
    )
    expect(of("tlsCert", { OPENSHELL_TLS_CERT: "c" })).toBe("c")
    expect(of("tlsCert", { OPENSHELL_TLS_CERT: "c", OPENSHELL_DISABLE_TLS: "true" })).toBeUndefined()
  })
})

describe("an inspection", () => {
  it("notes variables that were meant for a gateway and are not read", async () => {
    const environment = {
      OPENSHELL_OIDC_ISSUER: "https://issuer",
      HOLDFAST_LISTNE: "127.0.0.1:1",
      HOLDFAST_LISTEN: "",
      HOLDFAST_GATEWAY: "http://127.0.0.1:1",
      // What Kubernetes sets for a service of that name.
      HOLDFAST_PORT: "tcp://10.0.0.1:8080",
      HOLDFAST_SERVICE_HOST: "10.0.0.1",
    }
    const { notes } = await Effect.runPromise(inspect({}, environment))
    expect(notes.map(lineOf)).toEqual([
      "HOLDFAST_LISTNE: no setting; did you mean HOLDFAST_LISTEN?",
      "OPENSHELL_OIDC_ISSUER: this gateway has no such setting and does not read it",
    ])
  })

  it("shows what holds and who said so, and no secret", async () => {
    const config = write('[holdfast]\nlisten = ["127.0.0.1:1", "127.0.0.1:2"]\n[holdfast.drain]\nbatch = 9\n')
    const inspection = await Effect.runPromise(inspect({ config, name: "r7" }, required))
    expect(inspection.problems).toEqual([])
    const rows = new Map(effective(inspection).map((row) => [row.name, row]))
    expect(rows.get("name")).toMatchObject({ value: "r7", source: { kind: "flag" } })
    expect(rows.get("drainBatch")).toMatchObject({
      key: "holdfast.drain.batch",
      value: "9",
      source: { kind: "file", line: 4 },
    })
    expect(rows.get("publicUrl")).toMatchObject({ value: "http://127.0.0.1:1", source: { kind: "default" } })
    expect(rows.get("leaseMs")?.value).toBe("8000")
    expect(rows.get("databaseUrl")?.value).toBe("postgres://holdfast:<hidden>@db:5432/holdfast")
    expect(JSON.stringify(effective(inspection))).not.toContain("hunter2")
  })

  it("names every problem with its place", async () => {
    const config = write('[holdfast]\nfence_ms = "soon"\nlog_level = "loud"\n')
    const { problems, settings } = await Effect.runPromise(
      inspect({ config, peerListen: "nowhere" }, { HOLDFAST_TLS_CERT: "c", HOLDFAST_PUBLIC_URL: "x" }),
    )
    expect(settings).toBeUndefined()
    const lines = problems.map(lineOf)
    expect(lines).toContainEqual(expect.stringContaining(`${config}:2: `))
    expect(lines).toContainEqual(expect.stringContaining(`${config}:3: expected one of`))
    expect(lines).toContain("--peer-listen: 'nowhere' is not host:port")
    expect(lines).toContainEqual(expect.stringContaining("HOLDFAST_DATABASE_URL: not set"))
    expect(lines).toContainEqual(expect.stringContaining("tls-cert and tls-key go together"))
    expect(lines).toContain("HOLDFAST_PUBLIC_URL: 'x' is not a URL")
  })
})
