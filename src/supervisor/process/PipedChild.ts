import { closeSync } from "node:fs"
import { Socket } from "node:net"
import { Readable, Writable } from "node:stream"
import type { PipePool } from "./PipePool.ts"
import { signalGroup } from "./ProcessGroup.ts"
import type { CommandSpec, RunningChild } from "./RunningChild.ts"
import { type Detached, type Standard, spawnDetached } from "./SpawnDetached.ts"

type Streams = readonly [Writable, Readable, Readable]

interface Connection {
  readonly standard: readonly [Standard, Standard, Standard]
  /** Our ends, once the child has its own. */
  readonly streams: (started: Detached) => Streams | undefined
}

const pipes = async (pool: PipePool): Promise<Connection | undefined> => {
  const [input, output, errors] = (await pool.take(3)) ?? []
  if (input === undefined || output === undefined || errors === undefined) return undefined
  return {
    standard: [input.read, output.write, errors.write],
    streams: () => {
      for (const fd of [input.read, output.write, errors.write]) closeSync(fd)
      return [
        new Socket({ fd: input.write, readable: false, writable: true }),
        new Socket({ fd: output.read, readable: true, writable: false }),
        new Socket({ fd: errors.read, readable: true, writable: false }),
      ]
    },
  }
}

const sockets: Connection = {
  standard: ["pipe", "pipe", "pipe"],
  streams: ({ child: { stdin, stdout, stderr } }) =>
    stdin === null || stdout === null || stderr === null ? undefined : [stdin, stdout, stderr],
}

/** A command that never ran, as a process that said why on standard error and ended. */
const notStarted = (spec: CommandSpec): Streams => [
  new Writable({ write: (_chunk, _encoding, done) => done() }),
  Readable.from([]),
  Readable.from([Buffer.from(`holdfast: cannot start ${spec.file} in ${spec.cwd}\n`)]),
]

/** Starts a command without a terminal: three separate streams. */
export const spawnPiped = async (pool: PipePool, spec: CommandSpec): Promise<RunningChild> => {
  const connection = (await pipes(pool)) ?? sockets
  const started = spawnDetached(spec, connection.standard)
  const ours = connection.streams(started)
  const pid = started.pid ?? 0
  if (pid === 0) for (const stream of ours ?? []) stream.destroy()
  const [stdin, stdout, stderr] = pid === 0 || ours === undefined ? notStarted(spec) : ours
  const streams = [stdin, stdout, stderr]
  // A child that closes its input early, or a reader that is gone, is no error of ours.
  for (const stream of streams) stream.on("error", () => undefined)
  return {
    pid,
    stdin,
    stdout,
    stderr,
    exited: started.exited,
    resize: () => undefined,
    signal: (name) => void signalGroup(pid, name),
    release: () => {
      for (const stream of streams) stream.destroy()
    },
  }
}
