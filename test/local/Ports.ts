/** Ports for tests. */
import net from "node:net"

const portOf = (server: net.Server): number => {
  const address = server.address()
  if (typeof address !== "object" || address === null) throw new Error("not listening on TCP")
  return address.port
}

/** Listens on a port of the kernel's choice. */
export const listenAnywhere = (server: net.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => resolve(portOf(server)))
  })

/** A port that was free a moment ago. */
export const freePort = async (): Promise<number> => {
  const server = net.createServer()
  const port = await listenAnywhere(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}
