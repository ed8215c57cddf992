import { Effect, Either } from "effect"
import { describe, expect, it } from "vitest"
import { load } from "../../src/gateway/GatewaySettings.ts"

const required = {
  HOLDFAST_DATABASE_URL: "sqlite:x",
  HOLDFAST_PEER_CA: "ca",
  HOLDFAST_PEER_CERT: "cert",
  HOLDFAST_PEER_KEY: "key",
  HOLDFAST_JWT_DIR: "jwt",
}

const settings = (environment: Readonly<Record<string, string>>) =>
  Effect.runSync(Effect.either(load({}, { ...required, ...environment })))

const urlOf = (environment: Readonly<Record<string, string>>) =>
  Either.match(settings(environment), { onLeft: ({ message }) => message, onRight: ({ url }) => url })

describe("where supervisors reach a replica", () => {
  it("is what it listens on, in the scheme that it serves", () => {
    expect(urlOf({ HOLDFAST_LISTEN: "10.0.0.7:8080,127.0.0.1:17670" })).toBe("http://10.0.0.7:8080")
    expect(urlOf({ HOLDFAST_LISTEN: "[fd00::7]:8080", HOLDFAST_TLS_CERT: "c", HOLDFAST_TLS_KEY: "k" })).toBe(
      "https://[fd00::7]:8080",
    )
  })

  it("is unknown when it listens on every address, unless it is named", () => {
    expect(urlOf({ HOLDFAST_LISTEN: "0.0.0.0:8080" })).toBe("")
    expect(urlOf({ HOLDFAST_LISTEN: "[::]:8080" })).toBe("")
    expect(urlOf({ HOLDFAST_LISTEN: "0.0.0.0:8080", HOLDFAST_ADVERTISE_URL: "https://r1.example" })).toBe(
      "https://r1.example",
    )
  })

  it("is an http or https URL", () => {
    expect(urlOf({ HOLDFAST_ADVERTISE_URL: "r1:8080" })).toContain("HOLDFAST_ADVERTISE_URL: 'r1:8080'")
  })
})

describe("the settings of a drain", () => {
  it("have defaults, and refuse what would not drain", () => {
    expect(Either.getOrThrow(settings({}))).toMatchObject({
      drainBatch: 16,
      drainIntervalMs: 25,
      drainDeadlineMs: 60_000,
    })
    for (const [name, value] of [
      ["HOLDFAST_DRAIN_BATCH", "0"],
      ["HOLDFAST_DRAIN_INTERVAL_MS", "1"],
      ["HOLDFAST_DRAIN_DEADLINE_MS", "-1"],
    ] as const)
      expect(urlOf({ [name]: value })).toContain(name)
  })
})

describe("the driver of a replica", () => {
  const driverOf = (environment: Readonly<Record<string, string>>) =>
    Either.match(settings(environment), {
      onLeft: ({ message }) => message,
      onRight: ({ driver, driverSocket }) => [driver, driverSocket],
    })

  it("is the process driver, unless a socket or a name says otherwise", () => {
    expect(driverOf({})).toEqual(["process", undefined])
    expect(driverOf({ HOLDFAST_DRIVER: "none" })).toEqual(["none", undefined])
    expect(driverOf({ HOLDFAST_DRIVER_SOCKET: "/run/d.sock" })).toEqual(["external", "/run/d.sock"])
    expect(driverOf({ OPENSHELL_DRIVERS: "vm", OPENSHELL_COMPUTE_DRIVER_SOCKET: "/run/d.sock" })).toEqual([
      "vm",
      "/run/d.sock",
    ])
  })

  it("is refused when it is not built in and nothing serves it, or the other way round", () => {
    expect(driverOf({ HOLDFAST_DRIVER: "docker" })).toContain("HOLDFAST_DRIVER: 'docker' is not built in")
    expect(driverOf({ HOLDFAST_DRIVER: "process", HOLDFAST_DRIVER_SOCKET: "/run/d.sock" })).toContain(
      "needs no driver-socket",
    )
    expect(driverOf({ OPENSHELL_DRIVERS: "docker,vm", OPENSHELL_COMPUTE_DRIVER_SOCKET: "/x" })).toContain(
      "OPENSHELL_DRIVERS: 'docker,vm' names several drivers",
    )
  })
})

describe("the domains of services", () => {
  const domainsOf = (environment: Readonly<Record<string, string>>) =>
    Either.match(settings(environment), {
      onLeft: ({ message }) => message,
      onRight: ({ serviceDomains, loopbackServiceHttp }) => [serviceDomains.join(), loopbackServiceHttp],
    })

  it("are OpenShell's, those of its certificate's wildcards besides, or those that are named", () => {
    expect(domainsOf({})).toEqual(["openshell.localhost", true])
    expect(
      domainsOf({
        OPENSHELL_SERVER_SAN: "gateway.example.com, *.Apps.example.com",
        OPENSHELL_ENABLE_LOOPBACK_SERVICE_HTTP: "false",
      }),
    ).toEqual(["apps.example.com,openshell.localhost", false])
    expect(domainsOf({ OPENSHELL_SERVER_SAN: "gateway.example.com" })).toEqual(["openshell.localhost", true])
    expect(
      domainsOf({ HOLDFAST_SERVICE_DOMAINS: "a.example,b.example", OPENSHELL_SERVER_SAN: "*.c.example" }),
    ).toEqual(["a.example,b.example", true])
  })

  it("are names", () => {
    expect(domainsOf({ HOLDFAST_SERVICE_DOMAINS: "*.example.com" })).toContain("is not a domain name")
  })
})
