/** Requests that name a path. */

import { link, lstat, mkdir, readlink, rename, rmdir, stat, statfs, symlink, unlink } from "node:fs/promises"
import { homedir } from "node:os"
import { attributesAnswer, namesAnswer, statusAnswer } from "./Answers.ts"
import { readAttributes } from "./Attributes.ts"
import type { RequestHandler } from "./FileRequests.ts"
import { PacketWriter, Response, SftpStatus } from "./Packet.ts"
import { canonical, resolvePath } from "./Paths.ts"
import { setLinkAttributes, setPathAttributes } from "./SetAttributes.ts"

const ok = (id: number): Buffer => statusAnswer(id, SftpStatus.OK, "Success")

export const statPath: RequestHandler = async (id, reader, { workdir }) =>
  attributesAnswer(id, await stat(resolvePath(workdir, reader.string())))

export const lstatPath: RequestHandler = async (id, reader, { workdir }) =>
  attributesAnswer(id, await lstat(resolvePath(workdir, reader.string())))

export const setAttributes: RequestHandler = async (id, reader, { workdir }) => {
  await setPathAttributes(resolvePath(workdir, reader.string()), readAttributes(reader))
  return ok(id)
}

export const setLinkOwnAttributes: RequestHandler = async (id, reader, { workdir }) => {
  await setLinkAttributes(resolvePath(workdir, reader.string()), readAttributes(reader))
  return ok(id)
}

export const removeFile: RequestHandler = async (id, reader, { workdir }) => {
  await unlink(resolvePath(workdir, reader.string()))
  return ok(id)
}

export const makeDirectory: RequestHandler = async (id, reader, { workdir }) => {
  const path = resolvePath(workdir, reader.string())
  const { permissions } = readAttributes(reader)
  await mkdir(path, { mode: (permissions ?? 0o777) & 0o7777 })
  return ok(id)
}

export const removeDirectory: RequestHandler = async (id, reader, { workdir }) => {
  await rmdir(resolvePath(workdir, reader.string()))
  return ok(id)
}

export const realPath: RequestHandler = async (id, reader, { workdir }) =>
  namesAnswer(id, [{ name: await canonical(resolvePath(workdir, reader.string())) }], new Date())

/** `~` and `~/…` are the home directory; other users' homes are not known here. */
export const expandPath: RequestHandler = async (id, reader, { workdir }) => {
  const path = reader.string()
  const text = path.toString("latin1")
  const expanded =
    text === "~" || text.startsWith("~/") ? Buffer.concat([Buffer.from(homedir()), path.subarray(1)]) : path
  return namesAnswer(id, [{ name: await canonical(resolvePath(workdir, expanded)) }], new Date())
}

/** Version 3 never replaces an existing file; clients that want to, use the extension below. */
export const renameToNew: RequestHandler = async (id, reader, { workdir }) => {
  const from = resolvePath(workdir, reader.string())
  const to = resolvePath(workdir, reader.string())
  const existing = await lstat(to).catch(() => undefined)
  if (existing !== undefined) return statusAnswer(id, SftpStatus.FAILURE, "File exists")
  await rename(from, to)
  return ok(id)
}

export const renameReplacing: RequestHandler = async (id, reader, { workdir }) => {
  const from = resolvePath(workdir, reader.string())
  await rename(from, resolvePath(workdir, reader.string()))
  return ok(id)
}

export const hardLink: RequestHandler = async (id, reader, { workdir }) => {
  const from = resolvePath(workdir, reader.string())
  await link(from, resolvePath(workdir, reader.string()))
  return ok(id)
}

export const readLink: RequestHandler = async (id, reader, { workdir }) => {
  const target = await readlink(resolvePath(workdir, reader.string()), "buffer")
  return namesAnswer(id, [{ name: target }], new Date())
}

/** OpenSSH sends the target first, against the draft, and everybody follows OpenSSH. */
export const makeSymlink: RequestHandler = async (id, reader, { workdir }) => {
  const target = reader.string()
  await symlink(target, resolvePath(workdir, reader.string()))
  return ok(id)
}

/** Longest name of the usual Linux file systems; Node does not tell. */
const nameMaxBytes = 255

export const fileSystemStats: RequestHandler = async (id, reader, { workdir }) => {
  const stats = await statfs(resolvePath(workdir, reader.string()))
  const writer = new PacketWriter(Response.EXTENDED).uint32(id)
  const { bsize, blocks, bfree, bavail, files, ffree } = stats
  for (const value of [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, 0, 0, nameMaxBytes]) {
    writer.uint64(value)
  }
  return writer.finish()
}
