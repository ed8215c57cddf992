import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  isCrossOrigin,
  type Origin,
  passedCookies,
  toApplication,
  toClient,
} from "../../../src/api/http/RequestHeaders.ts"

const origin: Origin = {
  remoteAddress: "192.0.2.9",
  protocol: "http",
  host: "a--b.openshell.localhost:17670",
}

const pairs = (flat: ReadonlyArray<string>): ReadonlyArray<readonly [string, string]> =>
  Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at] ?? "", flat[2 * at + 1] ?? ""])

const secret = [
  "authorization",
  "cf-access-client-secret",
  "cf-access-jwt-assertion",
  "x-forwarded-client-cert",
  "x-ssl-client-cert",
  "x-client-cert",
]
const ofConnection = [
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-authorization",
]

describe("headers to the application", () => {
  it("never hold credentials for the gateway, nor what belongs to one connection, named by it or by custom", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom(...secret, ...ofConnection, "accept", "x-named", "x-other", ":path"),
          fc.array(fc.string({ maxLength: 8 }), { minLength: 1, maxLength: 3 }),
        ),
        (headers) => {
          const names = pairs(toApplication({ ...headers, connection: ["close, X-Named"] }, origin)).map(
            ([name]) => name,
          )
          for (const name of [...secret, ...ofConnection, "x-named", ":path"])
            expect(names).not.toContain(name)
          expect(names.filter((name) => name === "x-other").length).toBe(headers["x-other"]?.length ?? 0)
        },
      ),
    )
  })

  it("say who asks, and not what the client says of itself", () => {
    const flat = toApplication(
      {
        host: ["evil"],
        forwarded: ["for=evil"],
        "x-forwarded-host": ["evil"],
        "x-forwarded-proto": ["evil"],
      },
      origin,
    )
    expect(pairs(flat)).toEqual([
      ["host", origin.host],
      ["x-forwarded-for", "192.0.2.9"],
      ["x-forwarded-host", origin.host],
      ["x-forwarded-proto", "http"],
    ])
  })

  it("keep the cookies of the application only", () => {
    expect(passedCookies("a=1; CF_Authorization=x;CF_AppSession=y; b=2")).toBe("a=1; b=2")
    expect(passedCookies("CF_Authorization=x")).toBe("")
    expect(toApplication({ cookie: ["CF_Authorization=x"] }, origin)).not.toContain("cookie")
  })
})

describe("headers to the client", () => {
  it("keep every value, but for those of the application's connection", () => {
    expect(
      toClient({ "set-cookie": ["a", "b"], connection: ["x-a"], "x-a": ["1"], "keep-alive": ["1"] }),
    ).toEqual([["set-cookie", ["a", "b"]]])
  })
})

describe("a request without TLS on loopback", () => {
  it("is of another origin when the browser says so, unless a person follows a link", () => {
    const cross = (headers: Record<string, string[]>, method = "GET") =>
      isCrossOrigin(method, headers, origin)
    expect(cross({})).toBe(false)
    expect(cross({ origin: ["http://a--b.openshell.localhost:17670"] })).toBe(false)
    for (const other of [
      "http://a--c.openshell.localhost:17670",
      "https://a--b.openshell.localhost:17670",
      "null",
      "x",
    ])
      expect(cross({ origin: [other] })).toBe(true)
    expect(cross({ "sec-fetch-site": ["same-origin"] })).toBe(false)
    expect(cross({ "sec-fetch-site": ["none"] })).toBe(false)
    expect(cross({ "sec-fetch-site": ["same-site"] })).toBe(true)
    const link = {
      "sec-fetch-site": ["cross-site"],
      "sec-fetch-mode": ["navigate"],
      "sec-fetch-dest": ["document"],
    }
    expect(cross(link)).toBe(false)
    expect(cross(link, "POST")).toBe(true)
    expect(cross({ ...link, "sec-fetch-dest": ["iframe"] })).toBe(true)
  })
})
