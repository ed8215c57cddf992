import { Effect, Either, LogLevel, Redacted } from "effect"
import { describe, expect, it } from "vitest"
import { fromEnvironment } from "../../src/supervisor/SupervisorConfig.ts"

const minimal = {
  OPENSHELL_SANDBOX_ID: "5f0c",
  OPENSHELL_SANDBOX: "demo",
  OPENSHELL_ENDPOINT: "http://127.0.0.1:17670",
  OPENSHELL_SANDBOX_TOKEN: "secret-token",
}

const read = (env: Record<string, string | undefined> = {}, argv: ReadonlyArray<string> = []) =>
  Effect.runSync(Effect.either(fromEnvironment({ ...minimal, ...env }, argv)))

const config = (env: Record<string, string | undefined> = {}, argv: ReadonlyArray<string> = []) =>
  Either.getOrThrow(read(env, argv))

const refusal = (env: Record<string, string | undefined>, argv: ReadonlyArray<string> = []): string =>
  Either.match(read(env, argv), { onLeft: (error) => error.message, onRight: () => "accepted" })

describe("the supervisor's configuration", () => {
  it("needs four variables and has a default for everything else", () => {
    const found = config()
    expect(found.endpoints).toEqual(["http://127.0.0.1:17670"])
    expect(found.main).toEqual({ command: ["/bin/bash", "-l"], tty: true })
    expect([found.logLevel, found.logPushLevel]).toEqual([LogLevel.Warning, LogLevel.Info])
    expect([found.configPollMs, found.sshSocketPath, found.lock]).toEqual([10_000, undefined, undefined])
    expect(found.token.kind === "value" && Redacted.value(found.token.token)).toBe("secret-token")
  })

  it.each([
    [{ OPENSHELL_SANDBOX_ID: undefined }, "OPENSHELL_SANDBOX_ID"],
    [{ OPENSHELL_SANDBOX: "" }, "OPENSHELL_SANDBOX"],
    [{ OPENSHELL_ENDPOINT: undefined }, "OPENSHELL_ENDPOINT"],
    [{ OPENSHELL_ENDPOINT: "gateway:80" }, "OPENSHELL_ENDPOINT"],
    [{ OPENSHELL_ENDPOINT: "http://a,https://b" }, "OPENSHELL_ENDPOINT"],
    [{ OPENSHELL_SANDBOX_TOKEN: undefined }, "OPENSHELL_SANDBOX_TOKEN_FILE"],
    [{ OPENSHELL_ENDPOINT: "https://a" }, "OPENSHELL_TLS_CA"],
    [
      { OPENSHELL_ENDPOINT: "https://a", OPENSHELL_TLS_CA: "x", OPENSHELL_TLS_KEY: "y" },
      "OPENSHELL_TLS_CERT",
    ],
    [{ OPENSHELL_MAIN_PROCESS_SPEC: '{"version":2,"command":["x"]}' }, "OPENSHELL_MAIN_PROCESS_SPEC"],
    [{ OPENSHELL_MAIN_PROCESS_SPEC: '{"version":1,"command":[]}' }, "OPENSHELL_MAIN_PROCESS_SPEC"],
    [{ OPENSHELL_USER_ENVIRONMENT: '{"A":1}' }, "OPENSHELL_USER_ENVIRONMENT"],
    [{ OPENSHELL_LOG_LEVEL: "loud" }, "OPENSHELL_LOG_LEVEL"],
    [{ OPENSHELL_POLICY_POLL_INTERVAL_SECS: "0" }, "OPENSHELL_POLICY_POLL_INTERVAL_SECS"],
  ])("refuses %j and names %s", (env, name) => {
    expect(refusal(env)).toContain(name)
  })

  it("names every missing variable at once and never repeats a secret", () => {
    const text = refusal({ OPENSHELL_SANDBOX_ID: "", OPENSHELL_SANDBOX: "", OPENSHELL_USER_ENVIRONMENT: "{" })
    expect(text).toContain("OPENSHELL_SANDBOX_ID: required")
    expect(text).toContain("OPENSHELL_SANDBOX: required")
    expect(refusal({ OPENSHELL_USER_ENVIRONMENT: '{"KEY": 12345}' })).not.toContain("12345")
  })

  it("reads the main process as JSON or base64url, and prefers the command line", () => {
    const spec = JSON.stringify({ version: 1, command: ["python3", "-i"], tty: true })
    const expected = { command: ["python3", "-i"], tty: true }
    expect(config({ OPENSHELL_MAIN_PROCESS_SPEC: spec }).main).toEqual(expected)
    const encoded = `base64url:${Buffer.from(spec).toString("base64url")}`
    expect(config({ OPENSHELL_MAIN_PROCESS_SPEC: encoded }).main).toEqual(expected)
    const argv = ["--workdir", "/srv", "--", "sleep", "--workdir"]
    expect(config({ OPENSHELL_MAIN_PROCESS_SPEC: spec }, argv).main.command).toEqual(["sleep", "--workdir"])
    expect(config({}, argv)).toMatchObject({ workdir: "/srv", extensions: true })
    expect(config({}, ["--no-extensions", ...argv])).toMatchObject({ workdir: "/srv", extensions: false })
    expect(config({}, ["sleep", "5"]).main.command).toEqual(["sleep", "5"])
  })

  it("refuses an unknown flag by name", () => {
    expect(refusal({}, ["--mode=network"])).toContain("--mode")
  })

  it("takes several endpoints and a token file", () => {
    const found = config({
      OPENSHELL_ENDPOINT: "http://a:1, http://b:2",
      OPENSHELL_SANDBOX_TOKEN: "",
      OPENSHELL_SANDBOX_TOKEN_FILE: "/run/token",
    })
    expect(found.endpoints).toEqual(["http://a:1", "http://b:2"])
    expect(found.token).toEqual({ kind: "file", path: "/run/token" })
  })
})
