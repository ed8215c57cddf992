/**
 * A lock that at most one process of this machine holds and that the kernel frees with its holder, however
 * that ends: an abstract unix socket. No lock file can go stale. Abstract names belong to a network
 * namespace, so processes in two namespaces do not exclude each other.
 */
import { createHash } from "node:crypto"
import net from "node:net"
import { Data, Effect, type Scope } from "effect"

export class LockTaken extends Data.TaggedError("LockTaken")<{
  /** What is locked, in words. */
  readonly what: string
}> {}

/** Abstract names end at 107 bytes (unix(7)), so the key is hashed. */
const nameOf = (kind: string, key: string): string =>
  `\0holdfast/${kind}/${createHash("sha256").update(key).digest("hex").slice(0, 32)}`

/** Holds the lock of `kind` on `key` (such as a directory) until the scope closes; fails at once when it is taken. */
export const hold = (kind: string, key: string): Effect.Effect<void, LockTaken, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<net.Server, LockTaken>((resume) => {
      const server = net.createServer((socket) => socket.destroy())
      server.once("error", () => resume(Effect.fail(new LockTaken({ what: `${kind} ${key}` }))))
      server.listen({ path: nameOf(kind, key) }, () => resume(Effect.succeed(server)))
      server.unref()
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void))),
  ).pipe(Effect.asVoid)
