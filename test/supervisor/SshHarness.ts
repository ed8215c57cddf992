import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import net, { type AddressInfo, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll } from "vitest"
import { Launcher } from "../../src/supervisor/process/Launcher.ts"
import { MainProcess, type MainProcessSpec } from "../../src/supervisor/process/MainProcess.ts"
import * as SshServer from "../../src/supervisor/ssh/SshServer.ts"

export interface SshHarness {
  readonly port: number
  readonly workdir: string
  readonly launcher: Launcher
  readonly main: MainProcess | undefined
  readonly errors: string[]
  /** Connections as the server holds them; destroying one is a lost relay. */
  readonly sockets: ReadonlySet<Socket>
  readonly close: () => Promise<void>
}

const running: Array<() => Promise<void>> = []
afterAll(async () => {
  for (const close of running.splice(0)) await close()
})

/** The sandbox's SSH server behind a TCP listener, in place of the relays that reach it in production. */
export const startSsh = async (
  options: {
    readonly main?: MainProcessSpec
    readonly environment?: Record<string, string>
    readonly sandboxVariables?: Record<string, string>
  } = {},
): Promise<SshHarness> => {
  const scope = Effect.runSync(Scope.make())
  const workdir = mkdtempSync(join(tmpdir(), "holdfast-ssh-test-"))
  const inScope = <A>(effect: Effect.Effect<A, never, Scope.Scope>) =>
    Effect.runPromise(Scope.extend(effect, scope))
  const launcher = await inScope(
    Launcher.make({
      workdir,
      environment: { PATH: process.env.PATH, HOME: workdir, LANG: "C.UTF-8", ...options.environment },
      sandboxVariables: options.sandboxVariables ?? {},
    }),
  )
  const main = options.main === undefined ? undefined : await MainProcess.start(launcher, options.main)
  const errors: string[] = []
  const server = await inScope(
    SshServer.make({ launcher, main: () => main, onError: (message) => errors.push(message) }),
  )
  const sockets = new Set<Socket>()
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
    server.inject(socket)
  })
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
  const close = async (): Promise<void> => {
    listener.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(workdir, { recursive: true, force: true })
  }
  running.push(close)
  return { port: (listener.address() as AddressInfo).port, workdir, launcher, main, errors, sockets, close }
}

const clientOptions = [
  "-F/dev/null",
  "-oStrictHostKeyChecking=no",
  "-oUserKnownHostsFile=/dev/null",
  "-oGlobalKnownHostsFile=/dev/null",
  "-oLogLevel=ERROR",
  "-oPreferredAuthentications=none,publickey",
]

export const sshArgs = (harness: SshHarness, args: ReadonlyArray<string>): string[] => [
  ...clientOptions,
  `-p${harness.port}`,
  "sandbox@127.0.0.1",
  ...args,
]

/** Options for scp and sftp, whose port flag differs. */
export const copyArgs = (harness: SshHarness, args: ReadonlyArray<string>): string[] => [
  ...clientOptions,
  `-P${harness.port}`,
  ...args,
]

export interface Finished {
  readonly stdout: Buffer
  readonly stderr: string
  readonly code: number | null
  readonly signal: string | null
}

export const finish = async (child: ChildProcess): Promise<Finished> => {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk))
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) =>
      resolve({
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
        code,
        signal,
      }),
    )
  })
}

/** Runs a client program to its end, with `input` as its standard input. */
export const run = (
  file: string,
  args: ReadonlyArray<string>,
  input: Buffer | string = "",
): Promise<Finished> => {
  const child = spawn(file, args, { stdio: "pipe" })
  child.stdin.on("error", () => undefined)
  child.stdin.end(input)
  return finish(child)
}

export const ssh = (
  harness: SshHarness,
  args: ReadonlyArray<string>,
  input: Buffer | string = "",
): Promise<Finished> => run("ssh", sshArgs(harness, args), input)

/** False also for a zombie that nobody has waited for. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** Resolves with the first defined value of `look`; fails after the deadline. */
export const until = async <A>(
  what: string,
  look: () => A | undefined | false,
  deadlineMs = 10_000,
): Promise<A> => {
  const end = performance.now() + deadlineMs
  for (;;) {
    const found = look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
