/** The packets that the server sends. Pure. */
import type { Stats } from "node:fs"
import { attributesOf, longNamePrefix, writeAttributes } from "./Attributes.ts"
import { PacketWriter, Response, SftpStatus } from "./Packet.ts"

export const statusAnswer = (id: number, code: number, message = ""): Buffer =>
  new PacketWriter(Response.STATUS).uint32(id).uint32(code).string(message).string("").finish()

export const handleAnswer = (id: number, handle: number): Buffer =>
  new PacketWriter(Response.HANDLE).uint32(id).string(handleBytes(handle)).finish()

export const dataAnswer = (id: number, data: Buffer): Buffer =>
  new PacketWriter(Response.DATA).uint32(id).string(data).finish()

export const attributesAnswer = (id: number, stats: Stats): Buffer =>
  writeAttributes(new PacketWriter(Response.ATTRS).uint32(id), attributesOf(stats)).finish()

export interface NameEntry {
  readonly name: Buffer
  /** Absent for names that are the answer themselves (a resolved path, a link's target). */
  readonly stats?: Stats
}

export const namesAnswer = (id: number, entries: ReadonlyArray<NameEntry>, now: Date): Buffer => {
  const writer = new PacketWriter(Response.NAME).uint32(id).uint32(entries.length)
  for (const { name, stats } of entries) {
    const long = stats === undefined ? name : Buffer.concat([Buffer.from(longNamePrefix(stats, now)), name])
    writeAttributes(writer.string(name).string(long), stats === undefined ? {} : attributesOf(stats))
  }
  return writer.finish()
}

const handleBytes = (handle: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(handle)
  return bytes
}

const codes: Readonly<Record<string, number>> = {
  ENOENT: SftpStatus.NO_SUCH_FILE,
  ENOTDIR: SftpStatus.NO_SUCH_FILE,
  EBADF: SftpStatus.NO_SUCH_FILE,
  ELOOP: SftpStatus.NO_SUCH_FILE,
  EPERM: SftpStatus.PERMISSION_DENIED,
  EACCES: SftpStatus.PERMISSION_DENIED,
  EROFS: SftpStatus.PERMISSION_DENIED,
  ENAMETOOLONG: SftpStatus.BAD_MESSAGE,
  EINVAL: SftpStatus.BAD_MESSAGE,
  ENOSYS: SftpStatus.OP_UNSUPPORTED,
  EOPNOTSUPP: SftpStatus.OP_UNSUPPORTED,
}

const texts: Readonly<Record<number, string>> = {
  [SftpStatus.NO_SUCH_FILE]: "No such file",
  [SftpStatus.PERMISSION_DENIED]: "Permission denied",
  [SftpStatus.BAD_MESSAGE]: "Bad message",
  [SftpStatus.OP_UNSUPPORTED]: "Operation unsupported",
}

const reasons: Readonly<Record<string, string>> = {
  EEXIST: "File exists",
  ENOTEMPTY: "Directory not empty",
  EISDIR: "Is a directory",
  ENOSPC: "No space left on device",
  EDQUOT: "Disk quota exceeded",
  EXDEV: "Cannot move between file systems",
  EMFILE: "Too many open files",
}

/** A failed system call as a status; the text names the reason where the code does not. */
export const errorAnswer = (id: number, cause: unknown): Buffer => {
  const errno = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""
  const code = codes[errno] ?? SftpStatus.FAILURE
  return statusAnswer(id, code, texts[code] ?? reasons[errno] ?? "Failure")
}
