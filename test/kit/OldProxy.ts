/** A proxy as some networks have it: HTTP/1.1 passes, with whatever that turns into; HTTP/2 is refused. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export interface OldProxy {
  readonly url: string
  /** Connections refused so far. */
  readonly refused: () => number
  readonly cut: () => void
  readonly close: () => void
}

/** `targetPort` is asked for every connection. */
export const startOldProxy = async (targetPort: () => number): Promise<OldProxy> => {
  const sockets = new Set<Socket>()
  let refused = 0
  const server = createServer((client) => {
    sockets.add(client)
    client.setNoDelay(true)
    client.on("error", () => undefined)
    client.once("close", () => sockets.delete(client))
    client.once("data", (head) => {
      if (head.toString("latin1").startsWith("PRI ")) {
        refused += 1
        client.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        return
      }
      const target = connect({ port: targetPort(), host: "127.0.0.1", noDelay: true })
      target.on("error", () => client.destroy())
      target.once("close", () => client.destroy())
      client.once("close", () => target.destroy())
      target.write(head)
      client.pipe(target)
      target.pipe(client)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${port}`,
    refused: () => refused,
    cut,
    close: () => {
      cut()
      server.close()
    },
  }
}
