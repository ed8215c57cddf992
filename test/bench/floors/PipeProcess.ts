/** One Node hop, the least that any gateway in Node can cost: a TCP server that pipes to the port in argv[2]. */
import net from "node:net"

const port = Number(process.argv[2])
const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const target = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true })
  client.on("error", () => target.destroy())
  target.on("error", () => client.destroy())
  client.pipe(target)
  target.pipe(client)
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port })
})
process.on("disconnect", () => process.exit(0))
