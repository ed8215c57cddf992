/** OpenShell's environment variables as values of our settings (wire contract, appendix B). Pure. */
import { type SettingName, settingOf } from "../SettingsTable.ts"
import type { Given } from "./Problem.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** Undefined when a variable is not set or empty, which is the same. */
const valueOf = (environment: Environment, variable: string): string | undefined => {
  const value = environment[variable]
  return value === "" ? undefined : value
}

const given = (value: string, variable: string): Given => ({
  value,
  source: { kind: "environment", variable },
})

const first = (environment: Environment, variables: ReadonlyArray<string>): Given | undefined => {
  for (const variable of variables) {
    const value = valueOf(environment, variable)
    if (value !== undefined) return given(value, variable)
  }
  return undefined
}

/** OpenShell 0.0.111 listens here unless told otherwise. */
const defaultHost = "127.0.0.1"
const defaultPort = "17670"

const hostOf = (environment: Environment): string => {
  const host = valueOf(environment, "OPENSHELL_BIND_ADDRESS") ?? defaultHost
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host
}

const listen = (environment: Environment): Given | undefined => {
  const variables = ["OPENSHELL_BIND_ADDRESS", "OPENSHELL_SERVER_PORT"].filter(
    (variable) => valueOf(environment, variable) !== undefined,
  )
  if (variables.length === 0) return undefined
  const port = valueOf(environment, "OPENSHELL_SERVER_PORT") ?? defaultPort
  return given(`${hostOf(environment)}:${port}`, variables.join(" + "))
}

/** Health and metrics have a port each there, and share what they serve here. Port 0 is off. */
const metricsListen = (environment: Environment): Given | undefined => {
  const variables = ["OPENSHELL_HEALTH_PORT", "OPENSHELL_METRICS_PORT"].filter((variable) => {
    const port = valueOf(environment, variable)
    return port !== undefined && port !== "0"
  })
  if (variables.length === 0) return undefined
  const ports = new Set(variables.map((variable) => environment[variable]))
  return given([...ports].map((port) => `${hostOf(environment)}:${port}`).join(","), variables.join(" + "))
}

const withTls =
  (variable: string) =>
  (environment: Environment): Given | undefined =>
    /^(1|true|yes|on)$/i.test(environment.OPENSHELL_DISABLE_TLS ?? "")
      ? undefined
      : first(environment, [variable])

/** `sqlite://PATH?mode=rwc` → `sqlite:PATH` */
const databaseUrl = (environment: Environment): Given | undefined => {
  const found = first(environment, ["OPENSHELL_DB_URL"])
  if (found === undefined || !found.value.startsWith("sqlite:")) return found
  const [path = ""] = found.value.slice("sqlite:".length).split("?")
  return { ...found, value: `sqlite:${path.replace(/^\/\//, "")}` }
}

/** OpenShell 0.0.111 has it besides those of its certificate's names. */
export const defaultServiceDomain = "openshell.localhost"

/** Names of its certificate; those of the form `*.domain` are where services have theirs. */
const serviceDomains = (environment: Environment): Given | undefined => {
  const found = first(environment, ["OPENSHELL_SERVER_SAN"])
  const wildcards = (found?.value ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name.startsWith("*."))
  return found === undefined || wildcards.length === 0
    ? undefined
    : { ...found, value: [...wildcards.map((name) => name.slice(2)), defaultServiceDomain].join(",") }
}

/** Where a variable's text is not simply the setting's. */
const readers: Partial<Record<SettingName, (environment: Environment) => Given | undefined>> = {
  listen,
  metricsListen,
  databaseUrl,
  tlsCert: withTls("OPENSHELL_TLS_CERT"),
  tlsKey: withTls("OPENSHELL_TLS_KEY"),
  serviceDomains,
}

/** What OpenShell's variables say of a setting; undefined when they say nothing. */
export const fromOpenShell = (name: SettingName, environment: Environment): Given | undefined =>
  (readers[name] ?? ((all: Environment) => first(all, settingOf(name).openShell ?? [])))(environment)
