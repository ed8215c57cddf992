import { hostname } from "node:os"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { load } from "../../src/gateway/GatewaySettings.ts"
import {
  flagOf,
  type SettingName,
  settingNames,
  settingsTable,
  variableOf,
} from "../../src/gateway/SettingsTable.ts"

const required = settingNames.filter((name) => settingsTable[name].fallback === "required")
const values = (names: ReadonlyArray<SettingName>): Record<string, string> =>
  Object.fromEntries(
    names.map((name) => [variableOf(name), name === "databaseUrl" ? "sqlite:holdfast.db" : "/somewhere"]),
  )

describe("SettingsTable", () => {
  it("names variables and flags after the setting", () => {
    expect(variableOf("peerListen")).toBe("HOLDFAST_PEER_LISTEN")
    expect(flagOf("sandboxTokenTtlMs")).toBe("sandbox-token-ttl-ms")
  })

  it.effect("says truly what holds when a setting is left out", () =>
    Effect.gen(function* () {
      const settings = yield* load({}, values(required))
      const fallback = (name: SettingName): string => settingsTable[name].fallback
      const address = ({ host, port }: { readonly host: string; readonly port: number }) => `${host}:${port}`
      expect(settings.name).toBe(hostname())
      expect(settings.clusterId).toBe(fallback("clusterId"))
      expect(settings.listen.map(address).join(",")).toBe(fallback("listen"))
      expect(address(settings.peerListen)).toBe(fallback("peerListen"))
      expect(settings.peerAdvertise).toEqual(settings.peerListen)
      expect(settings.metricsListen).toEqual([])
      expect(settings.gatewayId).toBe(fallback("gatewayId"))
      expect(String(settings.sandboxTokenTtlMs)).toBe(fallback("sandboxTokenTtlMs"))
      expect(settings.publicUrl).toBe(`http://${fallback("listen")}`)
      expect(settings.sandboxEndpoint).toBe(settings.publicUrl)
      expect(settings.stateDir).toBe(fallback("stateDir"))
      expect(fallback("driver")).toMatch(new RegExp(`^${settings.driver};`))
      expect(settings.driverSocket).toBeUndefined()
      expect(settings.supervisorCommand).toEqual([])
      expect(settings.logLevel).toBe(fallback("logLevel"))
      expect(settings.tls).toBeUndefined()
      expect(String(settings.sessionGraceMs)).toBe(fallback("sessionGraceMs"))
      expect(String(settings.fenceMs)).toBe(fallback("fenceMs"))
      expect(String(settings.leaseMs)).toBe(fallback("leaseMs"))
    }),
  )

  it.effect.each(required)("refuses to start without %s, and says so", (name) =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(load({}, values(required.filter((other) => other !== name))))
      expect(failure.message).toContain(`${variableOf(name)}: not set`)
    }),
  )
})
