/**
 * Stands in for a replica where only its being a process matters: says its name to every caller, answers
 * readiness, ends on TERM. STAND_IN=broken makes it fail at once; STAND_IN=stubborn makes it ignore TERM.
 */
import http from "node:http"
import net from "node:net"

const setting = (name: string): string => process.env[name] ?? ""
const portOf = (name: string): number => Number(setting(name).split(":")[1])

if (setting("STAND_IN") === "broken") {
  process.stderr.write("the database does not exist\n")
  process.exit(3)
}
process.on("SIGTERM", () => {
  if (setting("STAND_IN") !== "stubborn") process.exit(0)
})

net
  .createServer((socket) =>
    socket.on("error", () => undefined).end(`${setting("HOLDFAST_NAME")} ${process.pid}`),
  )
  .listen(portOf("HOLDFAST_LISTEN"), "127.0.0.1")
http
  .createServer((_, response) => void response.end("ok"))
  .listen(portOf("HOLDFAST_METRICS_LISTEN"), "127.0.0.1")
