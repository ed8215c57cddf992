import { type ChildProcess, type StdioOptions, spawn } from "node:child_process"
import { closeSync } from "node:fs"
import { Socket } from "node:net"
import { Readable, Writable } from "node:stream"
import type { PipePool } from "./PipePool.ts"
import { signalGroup } from "./ProcessGroup.ts"
import type { CommandSpec, Exit, RunningChild } from "./RunningChild.ts"

interface Streams {
  readonly stdio: StdioOptions
  /** Called after the spawn with the child, so that our copies of its ends can be closed. */
  readonly take: (child: ChildProcess) => readonly [Writable, Readable, Readable] | undefined
}

const pipeStreams = async (pool: PipePool): Promise<Streams | undefined> => {
  const pipes = await pool.take(3)
  const [input, output, errors] = pipes ?? []
  if (input === undefined || output === undefined || errors === undefined) return undefined
  return {
    stdio: [input.read, output.write, errors.write],
    take: () => {
      for (const fd of [input.read, output.write, errors.write]) closeSync(fd)
      return [
        new Socket({ fd: input.write, readable: false, writable: true }),
        new Socket({ fd: output.read, readable: true, writable: false }),
        new Socket({ fd: errors.read, readable: true, writable: false }),
      ]
    },
  }
}

const socketStreams: Streams = {
  stdio: "pipe",
  take: ({ stdin, stdout, stderr }) =>
    stdin === null || stdout === null || stderr === null ? undefined : [stdin, stdout, stderr],
}

/** The shell's codes for a command that is not found, or found and not runnable. */
const spawnFailure = (error: NodeJS.ErrnoException): Exit => ({ code: error.code === "ENOENT" ? 127 : 126 })

/** A command that never ran, as a process that said why on standard error and ended. */
const failedChild = (spec: CommandSpec, exited: Promise<Exit>): RunningChild => ({
  pid: 0,
  stdin: new Writable({ write: (_chunk, _encoding, done) => done() }),
  stdout: Readable.from([]),
  stderr: Readable.from([Buffer.from(`holdfast: cannot start ${spec.file} in ${spec.cwd}\n`)]),
  exited,
  resize: () => undefined,
  signal: () => undefined,
  release: () => undefined,
})

/** Starts a command without a terminal: three separate streams. */
export const spawnPiped = async (pool: PipePool, spec: CommandSpec): Promise<RunningChild> => {
  const streams = (await pipeStreams(pool)) ?? socketStreams
  const child = spawn(spec.file, spec.args, {
    cwd: spec.cwd,
    env: spec.env,
    stdio: streams.stdio,
    // A session of its own, and so a process group whose id is the child's.
    detached: true,
  })
  const exited = new Promise<Exit>((resolve) => {
    child.once("error", (error) => resolve(spawnFailure(error)))
    child.once("exit", (code, signal) => resolve(signal === null ? { code: code ?? 0 } : { signal }))
  })
  const taken = streams.take(child)
  const pid = child.pid
  const release = (): void => {
    for (const stream of taken ?? []) stream.destroy()
  }
  if (taken === undefined || pid === undefined) {
    release()
    return failedChild(spec, exited)
  }
  const [stdin, stdout, stderr] = taken
  // A child that closes its input early, or a reader that is gone, is no error of ours.
  for (const stream of taken) stream.on("error", () => undefined)
  return {
    pid,
    stdin,
    stdout,
    stderr,
    exited,
    resize: () => undefined,
    signal: (name) => void signalGroup(pid, name),
    release,
  }
}
