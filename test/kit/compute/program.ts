/** The driver program of the tests: `program.ts --socket PATH --state DIRECTORY --endpoint URL`. */
import { rmSync } from "node:fs"
import net from "node:net"
import { parseArgs } from "node:util"
import { createGrpcServer } from "../../../src/wire/grpc/GrpcServer.ts"
import { makeRouter } from "./Service.ts"

const { values } = parseArgs({
  options: {
    socket: { type: "string", default: "" },
    state: { type: "string", default: "" },
    endpoint: { type: "string", default: "" },
  },
})

const server = createGrpcServer({
  router: makeRouter({ stateDir: values.state, endpoint: values.endpoint }),
  onError: (error) => process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`),
})
// A program that was killed left its socket behind.
rmSync(values.socket, { force: true })
net
  .createServer((socket) => server.attach(socket))
  .listen(values.socket, () => process.stdout.write("ready\n"))
process.on("SIGTERM", () => process.exit(0))
