import { chmod, chown, type FileHandle, lchown, lutimes, truncate, utimes } from "node:fs/promises"
import type { Attributes } from "./Attributes.ts"

const permissionBits = 0o7777

/** Size before permissions before times, as a copy that makes a file read-only at its end needs it. */
export const setPathAttributes = async (path: Buffer, attributes: Attributes): Promise<void> => {
  const { size, permissions, times, owner } = attributes
  if (size !== undefined) await truncate(path, size)
  if (permissions !== undefined) await chmod(path, permissions & permissionBits)
  if (times !== undefined) await utimes(path, times.atime, times.mtime)
  if (owner !== undefined) await chown(path, owner.uid, owner.gid)
}

/** The same for a symbolic link itself, which has neither a size nor permissions to set on Linux. */
export const setLinkAttributes = async (path: Buffer, attributes: Attributes): Promise<void> => {
  if (attributes.times !== undefined) await lutimes(path, attributes.times.atime, attributes.times.mtime)
  if (attributes.owner !== undefined) await lchown(path, attributes.owner.uid, attributes.owner.gid)
}

export const setFileAttributes = async (file: FileHandle, attributes: Attributes): Promise<void> => {
  const { size, permissions, times, owner } = attributes
  if (size !== undefined) await file.truncate(size)
  if (permissions !== undefined) await file.chmod(permissions & permissionBits)
  if (times !== undefined) await file.utimes(times.atime, times.mtime)
  if (owner !== undefined) await file.chown(owner.uid, owner.gid)
}
