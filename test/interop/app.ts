/** The program in the sandboxes of the cases: `app.ts PORT`. Serves HTTP and answers lines of its input. */
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import { createInterface } from "node:readline"

const port = Number(process.argv[2])
const server = createServer((request, response) => {
  const hash = createHash("sha256")
  let size = 0
  request.on("data", (chunk: Buffer) => {
    size += chunk.length
    hash.update(chunk)
  })
  request.on("end", () => {
    const { method, url, headers } = request
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({ method, url, size, hash: hash.digest("hex"), headers }))
  })
})
server.listen(port, "127.0.0.1", () => process.stdout.write(`serving ${port}\n`))

const lines = createInterface({ input: process.stdin })
lines.on("line", (line) => process.stdout.write(`got: ${line}\n`))
