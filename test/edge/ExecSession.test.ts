import { generateKeyPairSync } from "node:crypto"
import { Duplex } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Server } from "ssh2"
import { limits } from "../../src/domain/Limits.ts"
import { startExec } from "../../src/edge/ExecSession.ts"

/** Two ends of one connection that delivers everything of some milliseconds in one piece, as a busy machine does. */
const pair = (): readonly [Duplex, Duplex] => {
  const end = (other: () => Duplex): Duplex => {
    let pending: Array<Buffer> = []
    return new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        if (pending.length === 0)
          setTimeout(() => {
            other().push(Buffer.concat(pending))
            pending = []
          }, 5)
        pending.push(chunk)
        done()
      },
      final: (done) => {
        setTimeout(() => other().push(null), 10)
        done()
      },
    })
  }
  const client: Duplex = end(() => server)
  const server: Duplex = end(() => client)
  return [client, server]
}

const hostKey = generateKeyPairSync("rsa", {
  modulusLength: 2_048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
}).privateKey

/** Says of every command that it ended with 7, in the same breath in which it accepts it. */
const hastySshServer = (stream: Duplex): void => {
  const server = new Server({ hostKeys: [hostKey] }, (client) => {
    client.on("error", () => undefined)
    client.on("authentication", (context) => context.accept())
    client.on("session", (accept) => {
      accept().on("exec", (acceptExec) => {
        const channel = acceptExec()
        channel.exit(7)
        channel.end()
      })
    })
  })
  // ssh2 takes any stream for a connection; its types know sockets only.
  Reflect.apply(Reflect.get(server, "injectSocket"), server, [stream])
}

/** Stores no command, but answers without end. */
const endlessSshServer = (stream: Duplex): void => {
  const server = new Server({ hostKeys: [hostKey] }, (client) => {
    client.on("error", () => undefined)
    client.on("authentication", (context) => context.accept())
    client.on("session", (accept) => {
      accept().on("exec", (acceptExec) => {
        const channel = acceptExec()
        const flood = () => {
          if (!channel.destroyed) channel.write(Buffer.alloc(1_024, "x"), () => setImmediate(flood))
        }
        flood()
      })
    })
  })
  Reflect.apply(Reflect.get(server, "injectSocket"), server, [stream])
}

describe("startExec", () => {
  it("gives a sandbox up that answers a long command with more than the path it is stored under", async () => {
    const [client, server] = pair()
    endlessSshServer(server)
    const command = "x".repeat(limits.sshCommandBytes + 1)
    const failure = await Effect.runPromise(Effect.flip(Effect.scoped(startExec(client, command, undefined))))
    expect(failure.message).toBe("the sandbox could not store a long command")
  })

  it("learns the exit status that comes with the very packet that accepts the command", async () => {
    const [client, server] = pair()
    hastySshServer(server)
    const code = await Effect.runPromise(
      startExec(client, "true", undefined).pipe(
        Effect.flatMap(({ channel, exit }) => {
          channel.resume()
          return Effect.promise(() => exit)
        }),
        Effect.scoped,
      ),
    )
    expect(code).toBe(7)
  })
})
