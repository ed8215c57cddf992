/**
 * OpenSSH as a floor: a private sshd on loopback with a key, a configuration and a port of its own, and one
 * `ssh -R` to it that leads from a port of that sshd to the target. As in Holdfast, the target's side dials out.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import net from "node:net"
import { tmpdir, userInfo } from "node:os"
import path from "node:path"
import { promisify } from "node:util"
import { Effect, Schedule, type Scope } from "effect"
import { BenchError, failed } from "../BenchError.ts"
import { ensureSshd } from "./InstallSshd.ts"

const run = promisify(execFile)

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const configuration = (directory: string, port: number): string =>
  [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${directory}/host`,
    `AuthorizedKeysFile ${directory}/authorized`,
    "PidFile none",
    "UsePAM no",
    "StrictModes no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "AllowTcpForwarding yes",
    "UseDNS no",
    "",
  ].join("\n")

/** Ends with the scope; `timeout` ends it even when this process cannot. */
const daemon = (argv: ReadonlyArray<string>): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn("timeout", ["3600", ...argv], { detached: true, stdio: ["ignore", "ignore", "pipe"] }),
    ),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGTERM")
      }).pipe(Effect.timeout(5_000), Effect.ignore),
  )

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port })
    socket.once("error", () => resolve(false))
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
  })

const prepare = async (directory: string, port: number): Promise<void> => {
  await chmod(directory, 0o700)
  for (const name of ["host", "user"])
    await run("ssh-keygen", [
      "-q",
      "-t",
      "ed25519",
      "-N",
      "",
      "-C",
      "bench",
      "-f",
      path.join(directory, name),
    ])
  await copyFile(path.join(directory, "user.pub"), path.join(directory, "authorized"))
  await writeFile(path.join(directory, "sshd_config"), configuration(directory, port))
  // Where sshd separates its privileges; Debian's service makes it at boot.
  if (process.getuid?.() === 0 && !existsSync("/run/sshd")) await mkdir("/run/sshd", { mode: 0o755 })
}

const tailOf = (child: ChildProcess): (() => string) => {
  let text = ""
  child.stderr?.on("data", (data) => {
    text = `${text}${data}`.slice(-2_000)
  })
  return () => text.trim().replaceAll("\n", "; ")
}

const until = <A>(what: () => string, probe: Effect.Effect<A | undefined, BenchError>) =>
  probe.pipe(
    Effect.flatMap((found) =>
      found === undefined ? Effect.fail("waiting" as const) : Effect.succeed(found),
    ),
    Effect.retry({ while: (error) => error === "waiting", schedule: everyMoment }),
    Effect.catchAll((error) =>
      Effect.fail(error === "waiting" ? new BenchError({ message: what() }) : error),
    ),
  )

const everyMoment = Schedule.spaced(20).pipe(Schedule.upTo(10_000))

/** The port of sshd from which connections lead to `targetPort`. Fails with why there is none. */
export const start = (options: {
  readonly targetPort: number
  readonly mayInstall: boolean
}): Effect.Effect<number, BenchError, Scope.Scope> =>
  Effect.gen(function* () {
    const program = yield* ensureSshd(options.mayInstall)
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(path.join(tmpdir(), "holdfast-bench-ssh-"))),
      (made) => Effect.promise(() => rm(made, { recursive: true, force: true })),
    )
    const port = yield* Effect.promise(freePort)
    yield* Effect.tryPromise({ try: () => prepare(directory, port), catch: failed("preparing sshd") })
    const daemonTail = tailOf(yield* daemon([program, "-D", "-e", "-f", path.join(directory, "sshd_config")]))
    yield* until(
      () => `sshd does not listen: ${daemonTail()}`,
      Effect.promise(async () => ((await accepts(port)) ? true : undefined)),
    )
    const client = yield* daemon([
      "ssh",
      ...["-F", "none", "-N", "-i", path.join(directory, "user"), "-p", String(port)],
      ...["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"],
      ...["-o", `UserKnownHostsFile=${directory}/known`, "-o", "ExitOnForwardFailure=yes"],
      ...["-R", `127.0.0.1:0:127.0.0.1:${options.targetPort}`, `${userInfo().username}@127.0.0.1`],
    ])
    const clientTail = tailOf(client)
    return yield* until(
      () => `ssh -R did not connect: ${clientTail()} ${daemonTail()}`,
      Effect.sync(() => {
        const allocated = /Allocated port (\d+) for remote forward/.exec(clientTail())
        return allocated === null ? undefined : Number(allocated[1])
      }),
    )
  })
