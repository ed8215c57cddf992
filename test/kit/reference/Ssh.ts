/** The SSH server of a supervisor, as sheet 3.4 describes it: `none`, shells, terminals, loopback forwards. */
import { spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { constants } from "node:os"
import { spawn as spawnPty } from "@lydell/node-pty"
import ssh2, { type Connection, type ServerChannel, type Session } from "ssh2"
import { forgetSentChunk } from "../../../src/supervisor/ssh/Ssh2Quirks.ts"
import { bytes, type Main, type Watcher } from "./Main.ts"
import { inputOf } from "./PtyInput.ts"

const { Server, utils } = ssh2

export interface SshDependencies {
  readonly main: Main
  readonly workdir: string
  readonly environment: () => Record<string, string>
}

interface Terminal {
  readonly cols: number
  readonly rows: number
  readonly term: string
}

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "::1"])
const isSignal = (name: string): name is NodeJS.Signals => Object.hasOwn(constants.signals, name)
const signalOf = (name: string): NodeJS.Signals | undefined => {
  const full = name.startsWith("SIG") ? name : `SIG${name}`
  return isSignal(full) ? full : undefined
}
const killGroup = (pid: number | undefined, name: NodeJS.Signals): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, name)
  } catch {
    // It has ended.
  }
}

interface Running {
  readonly resize: (cols: number, rows: number) => void
  readonly signal: (name: NodeJS.Signals) => void
}

const finish = (channel: ServerChannel, code: number): void => {
  channel.exit(code)
  channel.end()
}

const onTerminal = (
  channel: ServerChannel,
  args: ReadonlyArray<string>,
  terminal: Terminal,
  { workdir, environment }: SshDependencies,
): Running => {
  const pty = spawnPty("/bin/bash", [...args], {
    name: terminal.term === "" ? "xterm-256color" : terminal.term,
    ...(terminal.cols > 0 && terminal.rows > 0 ? { cols: terminal.cols, rows: terminal.rows } : {}),
    cwd: workdir,
    env: environment(),
    encoding: bytes,
  })
  let ended = false
  pty.onData((chunk) => void channel.write(Buffer.from(chunk, bytes)))
  channel.pipe(inputOf(pty))
  pty.onExit(({ exitCode, signal }) => {
    ended = true
    finish(channel, signal === undefined || signal === 0 ? exitCode : 128 + signal)
  })
  const signal = (name: NodeJS.Signals): void => {
    if (!ended) killGroup(pty.pid, name)
  }
  channel.once("close", () => signal("SIGHUP"))
  return {
    signal,
    resize: (cols, rows) => {
      if (!ended && cols > 0 && rows > 0) pty.resize(cols, rows)
    },
  }
}

const onPipes = (
  channel: ServerChannel,
  args: ReadonlyArray<string>,
  { workdir, environment }: SshDependencies,
): Running => {
  const child = spawn("/bin/bash", [...args], {
    cwd: workdir,
    env: environment(),
    stdio: "pipe",
    detached: true,
  })
  child.stdin.on("error", () => {})
  channel.pipe(child.stdin)
  let ended = false
  let unsent = 0
  let leave: (() => void) | undefined
  // The library forgets what still waits for the window of a channel that is ended.
  for (const [source, target] of [
    [child.stdout, channel],
    [child.stderr, channel.stderr],
  ] as const)
    source.on("data", (chunk: Buffer) => {
      unsent += 1
      source.pause()
      target.write(chunk, () => {
        forgetSentChunk(channel)
        unsent -= 1
        source.resume()
        if (unsent === 0) leave?.()
      })
    })
  child.once("close", (code, signal) => {
    ended = true
    leave = () => {
      if (code === null && signal !== null) channel.exit(signal.slice(3), false, "")
      else channel.exit(code ?? 1)
      channel.end()
    }
    if (unsent === 0) leave()
  })
  const signal = (name: NodeJS.Signals): void => {
    if (!ended) killGroup(child.pid, name)
  }
  channel.once("close", () => signal("SIGKILL"))
  return { signal, resize: () => {} }
}

const controlP = 0x10
const controlQ = 0x11

const onMain = (channel: ServerChannel, main: Main, readOnly: boolean): Running => {
  let afterP = false
  const leave = (code: number): void => {
    main.detach(watcher)
    finish(channel, code)
  }
  const watcher: Watcher = { onOutput: (chunk) => void channel.write(chunk), onExit: leave }
  main.attach(watcher, readOnly)
  channel.once("close", () => main.detach(watcher))
  channel.on("data", (chunk: Buffer) => {
    const forward: Array<number> = []
    for (const byte of chunk) {
      if (afterP && byte === controlQ) return leave(0)
      if (afterP) forward.push(controlP)
      afterP = byte === controlP
      if (!afterP) forward.push(byte)
    }
    if (forward.length > 0) main.type(watcher, Buffer.from(forward))
  })
  return { resize: (cols, rows) => main.resize(cols, rows), signal: (name) => main.signal(name) }
}

const serveSession = (session: Session, dependencies: SshDependencies): void => {
  let terminal: Terminal | undefined
  let readOnly = false
  let running: Running | undefined
  session.on("env", (accept, _reject, { key, val }) => {
    if (key === "OPENSHELL_MAIN_READ_ONLY" && val === "1") readOnly = true
    accept?.()
  })
  session.on("pty", (accept, _reject, { cols, rows, term }) => {
    terminal = { cols, rows, term }
    accept?.()
  })
  session.on("window-change", (accept, _reject, { cols, rows }) => {
    running?.resize(cols, rows)
    accept?.()
  })
  session.on("signal", (accept, _reject, { name }) => {
    const signal = signalOf(name)
    if (signal !== undefined) running?.signal(signal)
    accept?.()
  })
  const start = (channel: ServerChannel, args: ReadonlyArray<string>): void => {
    channel.on("error", () => {})
    running =
      terminal === undefined
        ? onPipes(channel, args, dependencies)
        : onTerminal(channel, args, terminal, dependencies)
  }
  session.on("exec", (accept, _reject, { command }) => start(accept(), ["-lc", command]))
  session.on("shell", (accept) => start(accept(), ["-l"]))
  session.on("subsystem", (accept, reject, { name }) => {
    if (name !== "openshell-main") return reject?.()
    const channel = accept()
    channel.on("error", () => {})
    running = onMain(channel, dependencies.main, readOnly)
    if (terminal !== undefined) running.resize(terminal.cols, terminal.rows)
  })
}

const serveConnection = (connection: Connection, dependencies: SshDependencies): void => {
  connection.on("error", () => {})
  connection.on("authentication", (context) => {
    if (context.method === "none" || context.method === "publickey") context.accept()
    else context.reject(["none", "publickey"])
  })
  connection.on("session", (accept) => serveSession(accept(), dependencies))
  connection.on("tcpip", (accept, reject, { destIP, destPort }) => {
    if (!loopback.has(destIP)) return reject()
    const socket = connect({ host: destIP, port: destPort, noDelay: true })
    socket.once("error", () => reject())
    socket.once("connect", () => {
      socket.removeAllListeners("error")
      socket.on("error", () => {})
      const channel = accept()
      channel.on("error", () => {})
      channel.pipe(socket).pipe(channel)
      channel.once("close", () => socket.destroy())
    })
  })
}

/** One key in 256 that the library makes is one that it cannot read. */
const hostKey = (): string => {
  for (;;) {
    const { private: key } = utils.generateKeyPairSync("ed25519")
    if (!(utils.parseKey(key) instanceof Error)) return key
  }
}

/** Listens on a unix socket, mode 0600, or an abstract one for `@name`. */
export const listen = (path: string, dependencies: SshDependencies): Promise<void> => {
  const server = new Server({ hostKeys: [hostKey()] }, (connection) =>
    serveConnection(connection, dependencies),
  )
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    socket.once("end", () => socket.end())
    server.injectSocket(socket)
  })
  return new Promise((resolve, reject) => {
    listener.once("error", reject)
    // A socket file of the run before.
    if (!path.startsWith("@")) rmSync(path, { force: true })
    const before = process.umask(0o177)
    listener.listen(path.startsWith("@") ? `\0${path.slice(1)}` : path, resolve)
    process.umask(before)
  })
}
