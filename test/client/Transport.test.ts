import { afterEach, describe, expect, it } from "vitest"
import { EndpointProblem, resolveEndpoint } from "../../src/client/Endpoint.ts"
import { Link } from "../../src/client/Link.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { startOldProxy } from "../kit/OldProxy.ts"
import { GatewayDouble } from "./GatewayDouble.ts"

const cleanups: Array<() => void | Promise<void>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const start = async () => {
  const double = await GatewayDouble.start()
  cleanups.push(() => double.stop())
  const proxy = await startOldProxy(() => Number(new URL(double.url).port))
  cleanups.push(() => proxy.close())
  return { double, proxy }
}

const linkTo = (url: string, transport?: "http2" | "websocket"): Link => {
  const link = new Link({ url, ...(transport === undefined ? {} : { transport }) })
  cleanups.push(() => link.close())
  return link
}

const health = (link: Link) =>
  link.call((connection) => callUnary(connection, OpenShell.method.health, {}), { attempts: 1 })

describe("the transport of a link", () => {
  it("is HTTP/2 where that passes, and stays it", async () => {
    const { double } = await start()
    const link = linkTo(double.url)
    await health(link)
    await health(link)
    expect((await link.connection()).draining).toBe(false)
  })

  it("falls back to a WebSocket where HTTP/2 is refused, once for all its connections", async () => {
    const { proxy } = await start()
    const link = linkTo(proxy.url)
    await health(link)
    expect(proxy.refused()).toBe(1)
    proxy.cut()
    await (await link.connection()).closed
    link.leave(await link.connection())
    await health(link)
    expect(proxy.refused()).toBe(1)
  })

  it("is the one that was asked for", async () => {
    const { double, proxy } = await start()
    await health(linkTo(double.url, "websocket"))
    await expect(health(linkTo(proxy.url, "http2"))).rejects.toThrow()
    await health(linkTo(proxy.url, "websocket"))
  })

  it("is no excuse for a gateway that is not there", async () => {
    await expect(health(linkTo("http://127.0.0.1:1"))).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe("the setting of a transport", () => {
  it("has three values", () => {
    const resolve = (transport: string) => resolveEndpoint({ gateway: "http://127.0.0.1:1", transport }, {})
    expect(resolve("auto")).toEqual({ url: "http://127.0.0.1:1" })
    expect(resolve("websocket")).toEqual({ url: "http://127.0.0.1:1", transport: "websocket" })
    expect(resolve("carrier-pigeon")).toBeInstanceOf(EndpointProblem)
  })
})
