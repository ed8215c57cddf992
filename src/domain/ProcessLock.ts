/**
 * A lock that at most one process of a machine holds: an abstract unix socket. The kernel frees it with its
 * holder, however that ends, so nothing can go stale. Abstract names belong to a network namespace:
 * containers with networks of their own do not exclude each other.
 */
import net from "node:net"
import { Data, Effect, type Scope } from "effect"

export class LockHeld extends Data.TaggedError("LockHeld")<{
  readonly name: string
  /** Empty when another process holds the lock; else why the socket could not be made. */
  readonly reason: string
}> {}

/** An abstract name has at most 107 bytes after its leading zero byte (unix(7)). */
const nameBytes = 107

/** Holds the lock until the scope closes; fails at once when another holder has it. */
export const acquire = (name: string): Effect.Effect<void, LockHeld, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<net.Server, LockHeld>((resume) => {
      if (Buffer.byteLength(name) > nameBytes)
        return resume(Effect.fail(new LockHeld({ name, reason: `the name exceeds ${nameBytes} bytes` })))
      const server = net.createServer((socket) => socket.destroy())
      server.once("error", (error: NodeJS.ErrnoException) =>
        resume(Effect.fail(new LockHeld({ name, reason: error.code === "EADDRINUSE" ? "" : error.message }))),
      )
      server.listen({ path: `\0${name}` }, () => resume(Effect.succeed(server)))
      // The lock alone must not keep a process alive.
      server.unref()
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void))),
  ).pipe(Effect.asVoid)
