/**
 * The sandbox's SSH server. Whoever reaches it has been authorised by a gateway already: it accepts every user
 * by `none` or any key. Its host key lives as long as the process, so clients must not pin it.
 *
 *   connection ── session channels (exec, shell, sftp, openshell-main) ── direct-tcpip to loopback
 */
import type { Duplex } from "node:stream"
import { Effect, type Scope } from "effect"
import ssh2, { type Connection } from "ssh2"
import { limits } from "../../domain/Limits.ts"
import { loopbackTarget } from "../Loopback.ts"
import type { Launcher } from "../process/Launcher.ts"
import type { MainProcess } from "../process/MainProcess.ts"
import { serveForward } from "./ForwardChannel.ts"
import { serveSession } from "./SessionChannel.ts"
import { type AcceptsDuplex, prohibit, socketOf } from "./Ssh2Quirks.ts"

// Node finds only some of the names in this CommonJS module, and these are not among them.
const { Server, utils } = ssh2

export interface SshServerOptions {
  readonly launcher: Launcher
  readonly main: () => MainProcess | undefined
  /** A connection failed for another reason than its end. */
  readonly onError: (message: string) => void
}

export interface SshServer {
  /** Serves one connection; a server that is full destroys it. */
  readonly inject: (socket: Duplex) => void
  readonly connections: number
}

/** AES-GCM first: it is the only cipher here that runs in native code; OpenSSH and russh have it too. */
const ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"] as const

/** The library cannot switch its keepalive off; dead clients are noticed by the gateway's PINGs. */
const neverMs = 2_147_483_647

export const make = (options: SshServerOptions): Effect.Effect<SshServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => build(options)),
    ({ sockets }) => Effect.sync(() => sockets.forEach((socket) => void socket.destroy())),
  )

/** One key in 256 that the library makes is one that it cannot read: it drops a leading zero. */
const newHostKey = (): string => {
  for (;;) {
    const { private: key } = utils.generateKeyPairSync("ed25519")
    if (!(utils.parseKey(key) instanceof Error)) return key
  }
}

const build = (options: SshServerOptions): SshServer & { readonly sockets: ReadonlySet<Duplex> } => {
  const sockets = new Set<Duplex>()
  const server = new Server({
    hostKeys: [newHostKey()],
    ident: "holdfast",
    keepaliveInterval: neverMs,
    algorithms: { cipher: [...ciphers] },
  })
  const users = new WeakSet<object>()
  server.on("connection", (connection: Connection) => {
    const socket = socketOf(connection)
    connection.on("ready", () => {
      if (socket !== undefined) users.add(socket)
    })
    serveConnection(connection, options)
  })
  const injectable: AcceptsDuplex = server
  return {
    sockets,
    inject: (socket) => {
      if (sockets.size >= limits.sshConnections) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      // A client that only ends its direction is gone too: SSH has no half-close of a connection.
      socket.once("end", () => {
        socket.end()
        setTimeout(() => socket.destroy(), limits.mainDrainMs).unref()
      })
      const login = setTimeout(() => {
        if (!users.has(socket)) socket.destroy()
      }, limits.sshAuthTimeoutMs)
      socket.once("close", () => clearTimeout(login))
      injectable.injectSocket(socket)
    },
    get connections() {
      return sockets.size
    },
  }
}

const serveConnection = (connection: Connection, options: SshServerOptions): void => {
  const closed = Promise.withResolvers<void>()
  let sessions = 0
  let forwards = 0
  connection.on("close", () => closed.resolve())
  connection.on("end", () => closed.resolve())
  connection.on("error", (error: Error & { level?: string }) => {
    if (error.level !== "client-socket" && error.level !== "socket") options.onError(error.message)
  })
  connection.on("authentication", (context) => {
    if (context.method === "none" || context.method === "publickey") context.accept()
    else context.reject(["none", "publickey"])
  })
  connection.on("session", (accept, reject) => {
    if (sessions >= limits.sshSessionsPerConnection) return prohibit(connection, reject)
    sessions += 1
    serveSession(accept(), {
      launcher: options.launcher,
      main: options.main,
      connectionGone: closed.promise,
      onClose: () => {
        sessions -= 1
      },
    })
  })
  connection.on("tcpip", (accept, reject, { destIP, destPort }) => {
    const target = loopbackTarget(destIP, destPort)
    if (typeof target === "string" || forwards >= limits.sshForwardsPerConnection) {
      return prohibit(connection, reject)
    }
    forwards += 1
    serveForward(target, accept, reject, closed.promise, () => {
      forwards -= 1
    })
  })
}
