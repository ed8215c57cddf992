import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { labelProblem, serviceOfHost, serviceUrl } from "../../src/domain/ServiceHost.ts"

const label = fc.stringMatching(/^[a-z0-9]{1,4}(-[a-z0-9]{1,4}){0,3}$/)
const domains = ["openshell.localhost", "apps.example.com"] as const

describe("host names of services", () => {
  it("name the service that their URL was made for, whatever the port, the case and a final dot", () => {
    fc.assert(
      fc.property(
        label,
        label,
        fc.option(label),
        fc.constantFrom(...domains),
        (workspace, sandbox, name, base) => {
          const service = { workspace, sandbox, service: name ?? "" }
          const url = new URL(serviceUrl(service, base, "https://gateway.example.com:8443"))
          expect(url.port).toBe("8443")
          for (const host of [
            url.host,
            url.hostname,
            url.host.toUpperCase(),
            `${url.hostname}.`,
            `${url.hostname}.:1`,
          ])
            expect(serviceOfHost(host, domains)).toEqual(service)
        },
      ),
    )
  })

  it("never fail, whatever a client sends", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const found = serviceOfHost(`${text}.openshell.localhost`, domains)
        if (typeof found !== "string")
          expect([found.workspace, found.sandbox].some((name) => labelProblem(name) !== undefined)).toBe(
            false,
          )
      }),
    )
  })

  it("are foreign outside the base domains and malformed when they name nothing that can exist", () => {
    for (const host of [
      "",
      "openshell.localhost",
      "example.com",
      "127.0.0.1:80",
      "[::1]:80",
      "xopenshell.localhost",
    ])
      expect(serviceOfHost(host, domains)).toBe("foreign")
    for (const name of [
      "a",
      "a--",
      "--a",
      "a--b--c--d",
      "a--b.c",
      "a--b_c",
      "a---b",
      `a--${"b".repeat(20)}`,
      "a--é",
    ])
      expect(serviceOfHost(`${name}.openshell.localhost`, domains)).toBe("malformed")
  })
})
