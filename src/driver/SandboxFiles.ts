/**
 * The directory of one sandbox of the process driver:
 *
 *     <stateDir>/sandboxes/<id>/workspace/            the sandbox's working directory and home
 *     <stateDir>/sandboxes/<id>/run/token             its JWT, mode 0600
 *     <stateDir>/sandboxes/<id>/run/supervisor.json   which process runs it
 *     <stateDir>/sandboxes/<id>/run/last-exit.json    how the last one ended, if the replica that started it saw it
 *     <stateDir>/sandboxes/<id>/run/supervisor.log    its output, bounded
 *     <stateDir>/sandboxes/<id>/run/ssh.sock          its SSH server
 */
import { randomBytes } from "node:crypto"
import { closeSync, openSync, writeFileSync } from "node:fs"
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises"
import path from "node:path"
import { Option, Schema } from "effect"
import { limits } from "../domain/Limits.ts"

export interface SandboxFiles {
  readonly directory: string
  readonly workspace: string
  readonly run: string
  readonly token: string
  readonly supervisor: string
  readonly lastExit: string
  readonly log: string
  readonly sshSocket: string
}

export const sandboxesDir = (stateDir: string): string => path.join(path.resolve(stateDir), "sandboxes")

/** An id becomes a path: letters, digits, `-`, `_` and inner dots only. */
export const isSafeId = (id: string): boolean =>
  /^[0-9A-Za-z][0-9A-Za-z_-]*(\.[0-9A-Za-z_-]+)*$/.test(id) && id.length <= 128

export const filesOf = (stateDir: string, id: string): SandboxFiles => {
  const directory = path.join(sandboxesDir(stateDir), id)
  const run = path.join(directory, "run")
  return {
    directory,
    run,
    workspace: path.join(directory, "workspace"),
    token: path.join(run, "token"),
    supervisor: path.join(run, "supervisor.json"),
    lastExit: path.join(run, "last-exit.json"),
    log: path.join(run, "supervisor.log"),
    sshSocket: path.join(run, "ssh.sock"),
  }
}

export const SupervisorRecord = Schema.Struct({
  pid: Schema.Number,
  startTicks: Schema.Number,
  startedAtMs: Schema.Number,
})
export type SupervisorRecord = typeof SupervisorRecord.Type

export const ExitRecord = Schema.Struct({
  pid: Schema.Number,
  code: Schema.NullOr(Schema.Number),
  signal: Schema.NullOr(Schema.String),
})
export type ExitRecord = typeof ExitRecord.Type

const hasCode = (error: unknown, ...codes: ReadonlyArray<string>): boolean =>
  error instanceof Error && "code" in error && codes.some((code) => code === error.code)

/** undefined when missing or not what we write: a torn file of a crashed machine counts as none. */
const readRecord = async <A>(file: string, schema: Schema.Schema<A>): Promise<A | undefined> => {
  try {
    const text = await readFile(file, "utf8")
    return Option.getOrUndefined(Schema.decodeUnknownOption(Schema.parseJson(schema))(text))
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined
    throw error
  }
}

export const readSupervisor = (files: SandboxFiles) => readRecord(files.supervisor, SupervisorRecord)
export const readLastExit = (files: SandboxFiles) => readRecord(files.lastExit, ExitRecord)

/** Readers see the old content or the new, never a part. */
const replace = async (file: string, content: string): Promise<void> => {
  const fresh = `${file}.${randomBytes(4).toString("hex")}`
  await writeFile(fresh, content, { mode: 0o600 })
  await rename(fresh, file)
}

export const writeSupervisor = (files: SandboxFiles, record: SupervisorRecord): Promise<void> =>
  replace(files.supervisor, `${JSON.stringify(record)}\n`)

/** Called when a child ends; synchronous so that it completes even if this process is about to exit. */
export const recordExit = (files: SandboxFiles, record: ExitRecord): void => {
  try {
    writeFileSync(files.lastExit, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  } catch {
    // The sandbox was deleted meanwhile; nobody will ask.
  }
}

export const writeToken = (files: SandboxFiles, token: string): Promise<void> => replace(files.token, token)

export const makeDirectories = async (files: SandboxFiles): Promise<void> => {
  await mkdir(files.workspace, { recursive: true, mode: 0o700 })
  await mkdir(files.run, { recursive: true, mode: 0o700 })
}

export const isPresent = (files: SandboxFiles): Promise<boolean> =>
  stat(files.directory).then(
    () => true,
    (error) => {
      if (hasCode(error, "ENOENT")) return false
      throw error
    },
  )

/** Ids of all sandboxes that have a directory. */
export const listIds = (stateDir: string): Promise<ReadonlyArray<string>> =>
  readdir(sandboxesDir(stateDir)).then(
    (names) => names.filter(isSafeId),
    (error) => {
      if (hasCode(error, "ENOENT")) return []
      throw error
    },
  )

/** For appending; the caller closes it. */
export const openLog = <A>(files: SandboxFiles, use: (descriptor: number) => A): A => {
  const descriptor = openSync(files.log, "a", 0o600)
  try {
    return use(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Writers append, so the file may be cut under them; lines written between copy and cut are lost. */
export const boundLog = async (files: SandboxFiles): Promise<void> => {
  const size = await stat(files.log).then(
    (found) => found.size,
    () => 0,
  )
  if (size <= limits.driverLogBytes) return
  await copyFile(files.log, `${files.log}.1`)
  await truncate(files.log, 0)
}

const makeRemovable = async (directory: string): Promise<void> => {
  await chmod(directory, 0o700)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeRemovable(path.join(directory, entry.name))
  }
}

const removeTree = (directory: string): Promise<void> =>
  rm(directory, { recursive: true, force: true }).catch(async (error) => {
    // The sandbox took our own permission away from a directory of its own.
    if (!hasCode(error, "EACCES", "EPERM", "ENOTEMPTY")) throw error
    await makeRemovable(directory)
    await rm(directory, { recursive: true, force: true })
  })

const removedPrefix = ".removed-"

/** Out of sight at once, then removed; a rest that a crash left behind goes with the next removal. */
export const remove = async (stateDir: string, files: SandboxFiles): Promise<void> => {
  const root = sandboxesDir(stateDir)
  await rename(files.directory, path.join(root, `${removedPrefix}${randomBytes(8).toString("hex")}`))
  for (const name of await readdir(root)) {
    if (name.startsWith(removedPrefix)) await removeTree(path.join(root, name))
  }
}
