/** Requests that open, read, write and close files and directories. */
import { constants } from "node:fs"
import { lstat, open, opendir, stat } from "node:fs/promises"
import { limits } from "../../domain/Limits.ts"
import {
  attributesAnswer,
  dataAnswer,
  handleAnswer,
  type NameEntry,
  namesAnswer,
  statusAnswer,
} from "./Answers.ts"
import { readAttributes } from "./Attributes.ts"
import type { Handles, OpenDirectory } from "./Handles.ts"
import { type PacketReader, SftpStatus } from "./Packet.ts"
import { resolvePath } from "./Paths.ts"
import { setFileAttributes } from "./SetAttributes.ts"

export interface RequestContext {
  readonly workdir: string
  readonly handles: Handles
}

/** Answers one request; a rejection becomes the status of its errno. */
export type RequestHandler = (id: number, reader: PacketReader, context: RequestContext) => Promise<Buffer>

const openFlag = { READ: 1, WRITE: 2, APPEND: 4, CREATE: 8, TRUNCATE: 16, EXCLUSIVE: 32 } as const

/** Never blocks on a named pipe without a peer, and never makes a terminal ours. */
const alwaysFlags = constants.O_NONBLOCK | constants.O_NOCTTY

const systemFlags = (flags: number): number => {
  const access =
    (flags & openFlag.WRITE) === 0
      ? constants.O_RDONLY
      : (flags & openFlag.READ) === 0
        ? constants.O_WRONLY
        : constants.O_RDWR
  return (
    access |
    alwaysFlags |
    (flags & openFlag.APPEND ? constants.O_APPEND : 0) |
    (flags & openFlag.CREATE ? constants.O_CREAT : 0) |
    (flags & openFlag.TRUNCATE ? constants.O_TRUNC : 0) |
    (flags & openFlag.EXCLUSIVE ? constants.O_EXCL : 0)
  )
}

const tooMany = (id: number): Buffer => statusAnswer(id, SftpStatus.FAILURE, "Too many open files")
const badHandle = (id: number): Buffer => statusAnswer(id, SftpStatus.FAILURE, "Bad handle")
const ok = (id: number): Buffer => statusAnswer(id, SftpStatus.OK, "Success")

export const openFile: RequestHandler = async (id, reader, { workdir, handles }) => {
  const path = resolvePath(workdir, reader.string())
  const flags = reader.uint32()
  const { permissions } = readAttributes(reader)
  if (handles.full) return tooMany(id)
  const file = await open(path, systemFlags(flags), (permissions ?? 0o666) & 0o7777)
  return handleAnswer(id, handles.add({ kind: "file", file }))
}

export const openDirectory: RequestHandler = async (id, reader, { workdir, handles }) => {
  const path = resolvePath(workdir, reader.string())
  if (handles.full) return tooMany(id)
  // One character per byte, because a name need not be text.
  const directory = await opendir(path, { encoding: "latin1", bufferSize: limits.sftpDirectoryEntries })
  return handleAnswer(id, handles.add({ kind: "directory", path, directory, dotsSent: false }))
}

export const closeHandle: RequestHandler = async (id, reader, { handles }) =>
  (await handles.close(reader.string())) ? ok(id) : badHandle(id)

export const readFile: RequestHandler = async (id, reader, { handles }) => {
  const file = handles.file(reader.string())
  const offset = reader.uint64()
  const length = Math.min(reader.uint32(), limits.sftpDataBytes)
  if (file === undefined) return badHandle(id)
  const buffer = Buffer.allocUnsafe(length)
  const { bytesRead } = await file.read(buffer, 0, length, offset)
  return bytesRead === 0 && length > 0
    ? statusAnswer(id, SftpStatus.EOF, "End of file")
    : dataAnswer(id, buffer.subarray(0, bytesRead))
}

export const writeFile: RequestHandler = async (id, reader, { handles }) => {
  const file = handles.file(reader.string())
  const offset = reader.uint64()
  const data = reader.string()
  if (file === undefined) return badHandle(id)
  let written = 0
  // A full disk writes a part first and fails on the next attempt.
  while (written < data.length) {
    written += (await file.write(data, written, data.length - written, offset + written)).bytesWritten
  }
  return ok(id)
}

export const statHandle: RequestHandler = async (id, reader, { handles }) => {
  const file = handles.file(reader.string())
  return file === undefined ? badHandle(id) : attributesAnswer(id, await file.stat())
}

export const setHandleAttributes: RequestHandler = async (id, reader, { handles }) => {
  const file = handles.file(reader.string())
  const attributes = readAttributes(reader)
  if (file === undefined) return badHandle(id)
  await setFileAttributes(file, attributes)
  return ok(id)
}

export const syncFile: RequestHandler = async (id, reader, { handles }) => {
  const file = handles.file(reader.string())
  if (file === undefined) return badHandle(id)
  await file.sync()
  return ok(id)
}

export const readDirectory: RequestHandler = async (id, reader, { handles }) => {
  const open = handles.directory(reader.string())
  if (open === undefined) return badHandle(id)
  const names: Buffer[] = []
  if (!open.dotsSent) names.push(Buffer.from("."), Buffer.from(".."))
  open.dotsSent = true
  while (names.length < limits.sftpDirectoryEntries) {
    const entry = await open.directory.read()
    if (entry === null) break
    names.push(Buffer.from(entry.name, "latin1"))
  }
  if (names.length === 0) return statusAnswer(id, SftpStatus.EOF, "End of file")
  const entries = await Promise.all(names.map((name) => describe(open, name)))
  return namesAnswer(id, entries, new Date())
}

/** An entry that is gone by now, or may not be looked at, still has a name. */
const describe = async (open: OpenDirectory, name: Buffer): Promise<NameEntry> => {
  const path = Buffer.concat([open.path, Buffer.from("/"), name])
  const look = name.equals(Buffer.from("..")) ? stat : lstat
  const stats = await look(path).catch(() => undefined)
  return stats === undefined ? { name } : { name, stats }
}
