import { chmod, mkdir, rm } from "node:fs/promises"
import { createServer, type Server } from "node:net"
import { dirname } from "node:path"
import { Effect, type Scope } from "effect"
import { SupervisorError } from "../SupervisorError.ts"
import type { SshServer } from "./SshServer.ts"

/**
 * Serves SSH on a unix socket as well: `OPENSHELL_SSH_SOCKET_PATH`, a path (mode 0600) or `@name` for an
 * abstract one. A socket file that a former supervisor left behind gives way.
 */
export const listenOnSocket = (
  server: SshServer,
  path: string,
): Effect.Effect<void, SupervisorError, Scope.Scope> => {
  const abstract = path.startsWith("@")
  return Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        if (!abstract) {
          await mkdir(dirname(path), { recursive: true, mode: 0o700 })
          await rm(path, { force: true })
        }
        const listener = await listen(server, abstract ? `\0${path.slice(1)}` : path)
        if (!abstract) await chmod(path, 0o600)
        return listener
      },
      catch: (cause) =>
        new SupervisorError({
          reason: "start",
          message: `OPENSHELL_SSH_SOCKET_PATH: ${cause instanceof Error ? cause.message : "cannot listen"}`,
        }),
    }),
    (listener) => Effect.sync(() => void listener.close()),
  ).pipe(Effect.asVoid)
}

const listen = (server: SshServer, path: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const listener = createServer({ allowHalfOpen: true }, (socket) => server.inject(socket))
    listener.once("error", reject)
    // The file gets its mode from the umask at the bind, which listen does before it returns.
    const before = process.umask(0o177)
    listener.listen(path, () => resolve(listener))
    process.umask(before)
  })
