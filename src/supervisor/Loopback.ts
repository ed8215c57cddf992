import { BlockList, connect, isIP, type Socket } from "node:net"
import { limits } from "../domain/Limits.ts"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")

export interface LoopbackTarget {
  readonly host: string
  readonly port: number
}

/**
 * A relay or forward target inside the sandbox, or why it is refused. Names other than `localhost` are not
 * resolved: what they resolve to could change between the check and the dial.
 */
export const loopbackTarget = (host: string, port: number): LoopbackTarget | string => {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    return "tcp target port must be between 1 and 65535"
  const name = host.replace(/^\[(.*)\]$/, "$1").toLowerCase()
  if (name === "") return "tcp target host is required"
  if (name === "localhost") return { host: "localhost", port }
  const version = isIP(name)
  const inside = version === 4 ? loopback.check(name, "ipv4") : version === 6 && loopback.check(name, "ipv6")
  return inside ? { host: name, port } : "tcp target host must be loopback"
}

/** Connects, with half-open sockets allowed; a text says why the target cannot be reached. */
export const dialLoopback = (target: LoopbackTarget, cancelled?: AbortSignal): Promise<Socket | string> =>
  new Promise((resolve) => {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const fail = (reason: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(`cannot reach ${target.host}:${target.port}: ${reason}`)
    }
    const timer = setTimeout(
      () => fail(`no answer in ${limits.supervisorDialTimeoutMs} ms`),
      limits.supervisorDialTimeoutMs,
    )
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message)
    cancelled?.addEventListener("abort", () => fail("the relay was cancelled"), { once: true })
    socket.once("error", onError)
    socket.once("connect", () => {
      clearTimeout(timer)
      socket.off("error", onError)
      // Until it is joined a reset of the target shows in the join, as a socket that is closed.
      socket.on("error", () => undefined)
      resolve(socket)
    })
  })
