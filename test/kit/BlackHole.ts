/** A TCP proxy on loopback whose connections can be swallowed: still open, but nothing passes any more. */
import net from "node:net"

export interface BlackHole {
  readonly port: number
  /** From now on nothing passes on the connections that exist; new ones work. */
  readonly swallow: () => void
  /** From now on new connections are accepted and hear nothing. */
  readonly mute: () => void
  readonly connections: () => number
  readonly close: () => Promise<void>
}

export const openBlackHole = (targetPort: number): Promise<BlackHole> =>
  new Promise((resolve, reject) => {
    const sockets = new Set<net.Socket>()
    let isMute = false
    const server = net.createServer((near) => {
      if (isMute) {
        sockets.add(near)
        near.on("error", () => {}).on("close", () => sockets.delete(near))
        return
      }
      const far = net.connect(targetPort, "127.0.0.1")
      for (const socket of [near, far]) {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      }
      near.on("data", (chunk) => far.write(chunk))
      far.on("data", (chunk) => near.write(chunk))
      near.on("close", () => far.destroy())
      far.on("close", () => near.destroy())
    })
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      if (address === null || typeof address === "string") return reject(new Error("no port"))
      resolve({
        port: address.port,
        swallow: () => {
          for (const socket of sockets) {
            socket.removeAllListeners("data")
            socket.resume()
          }
        },
        mute: () => {
          isMute = true
        },
        connections: () => sockets.size / 2,
        close: () =>
          new Promise((done) => {
            for (const socket of sockets) socket.destroy()
            server.close(() => done())
          }),
      })
    })
  })
