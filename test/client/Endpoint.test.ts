import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callerHeaders, EndpointProblem, isLoopback, resolveEndpoint } from "../../src/client/Endpoint.ts"
import { plainUserAgent } from "../../src/wire/grpc/UserAgents.ts"

const config = mkdtempSync(join(tmpdir(), "holdfast-config-"))
afterAll(() => rmSync(config, { recursive: true, force: true }))

describe("the endpoint", () => {
  it("is a URL's origin; a path or a missing scheme do not matter or are refused", () => {
    expect(resolveEndpoint({ gateway: "http://127.0.0.1:17670/" }, {})).toEqual({
      url: "http://127.0.0.1:17670",
    })
    expect(resolveEndpoint({ gateway: "ftp://host" }, {})).toBeInstanceOf(EndpointProblem)
    expect(resolveEndpoint({ gateway: "nonsense here" }, {})).toBeInstanceOf(EndpointProblem)
  })

  it("keeps to OpenShell's wire when it is told so, and says so with every call", () => {
    const plain = resolveEndpoint({ gateway: "http://127.0.0.1:17670", extensions: false }, {})
    expect(plain).toEqual({ url: "http://127.0.0.1:17670", extensions: false })
    if (plain instanceof EndpointProblem) throw new Error(plain.what)
    expect(callerHeaders(plain)).toEqual({ "user-agent": plainUserAgent })
    expect(resolveEndpoint({ gateway: "http://127.0.0.1:17670", extensions: true }, {})).toEqual({
      url: "http://127.0.0.1:17670",
    })
  })

  it("may be several URLs, of which all must be fit for a token", () => {
    expect(resolveEndpoint({ gateway: "https://a:1, https://b:2/,http://[::1]:3" }, {})).toEqual({
      url: "https://a:1",
      others: ["https://b:2", "http://[::1]:3"],
      tls: {},
    })
    const many = Array(17).fill("https://a").join()
    expect(resolveEndpoint({ gateway: many }, {})).toBeInstanceOf(EndpointProblem)
    expect(resolveEndpoint({ gateway: "https://a," }, {})).toBeInstanceOf(EndpointProblem)
    const open = { gateway: "https://a,http://b.example" }
    expect(resolveEndpoint(open, { HOLDFAST_TOKEN: "secret" })).toBeInstanceOf(EndpointProblem)
  })

  it("carries a token over https and on loopback, and refuses to send it in the clear elsewhere", () => {
    const environment = { HOLDFAST_TOKEN: "secret\n" }
    expect(resolveEndpoint({ gateway: "https://gw.example" }, environment)).toMatchObject({ token: "secret" })
    expect(resolveEndpoint({ gateway: "http://[::1]:1" }, environment)).toMatchObject({ token: "secret" })
    const refused = resolveEndpoint({ gateway: "http://gw.example" }, environment)
    expect(refused).toBeInstanceOf(EndpointProblem)
    expect(JSON.stringify(refused)).not.toContain("secret")
  })

  it("may be the name of a gateway that OpenShell stored, with its certificates and token", () => {
    const folder = join(config, "openshell", "gateways", "work")
    mkdirSync(join(folder, "mtls"), { recursive: true })
    writeFileSync(
      join(folder, "metadata.json"),
      JSON.stringify({ gateway_endpoint: "https://gw.example:8443" }),
    )
    writeFileSync(join(folder, "oidc_token.json"), JSON.stringify({ access_token: "t" }))
    writeFileSync(join(folder, "mtls", "ca.crt"), "CA")
    const endpoint = resolveEndpoint({ gateway: "work" }, { XDG_CONFIG_HOME: config })
    expect(endpoint).toEqual({ url: "https://gw.example:8443", token: "t", tls: { ca: Buffer.from("CA") } })
    expect(resolveEndpoint({ gateway: "home" }, { XDG_CONFIG_HOME: config })).toBeInstanceOf(EndpointProblem)
    expect(resolveEndpoint({ gateway: "../work" }, { XDG_CONFIG_HOME: config })).toBeInstanceOf(
      EndpointProblem,
    )
  })

  it("says which credential file is missing", () => {
    const problem = resolveEndpoint({ gateway: "http://127.0.0.1:1", tokenFile: "/nowhere/token" }, {})
    expect(problem).toBeInstanceOf(EndpointProblem)
    expect(JSON.stringify(problem)).toContain("/nowhere/token")
  })

  it("knows what loopback is", () => {
    expect(["localhost", "127.0.0.1", "127.255.0.9", "[::1]"].every(isLoopback)).toBe(true)
    expect(["0.0.0.0", "127.0.0.1.example.com", "10.0.0.1"].some(isLoopback)).toBe(false)
  })
})
