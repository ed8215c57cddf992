/** Puts what has arrived under its final name: one rename, or a merge into a directory that exists. */
import { lstat, readdir, rename, stat } from "node:fs/promises"
import { TransferFailed } from "./TransferFailed.ts"

type Kind = "absent" | "directory" | "other"

/** A link to a directory counts as one where something would be put into it. */
const kindOf = async (path: Buffer, follow: boolean): Promise<Kind> => {
  try {
    const stats = await (follow ? stat(path) : lstat(path))
    return stats.isDirectory() ? "directory" : "other"
  } catch {
    return follow ? kindOf(path, false) : "absent"
  }
}

/** Nothing has moved when this rejects with a conflict: all names are checked before the first rename. */
export const place = async (source: string, target: string): Promise<void> => {
  await check(Buffer.from(source), Buffer.from(target))
  await move(Buffer.from(source), Buffer.from(target))
}

const children = async (directory: Buffer): Promise<ReadonlyArray<Buffer>> =>
  await readdir(directory, { encoding: "buffer" })

const inside = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, Buffer.from("/"), name])

const check = async (source: Buffer, target: Buffer): Promise<void> => {
  const [from, to] = [await kindOf(source, false), await kindOf(target, true)]
  if (from === "directory" && to === "directory") {
    for (const name of await children(source)) await check(inside(source, name), inside(target, name))
  } else if (from === "directory" && to === "other") {
    throw conflict(target, "is a file where a directory should be put")
  } else if (from === "other" && (await kindOf(target, false)) === "directory") {
    throw conflict(target, "is a directory where a file should be put")
  }
}

const conflict = (target: Buffer, why: string): TransferFailed =>
  new TransferFailed({ reason: "conflict", message: `${target.toString()} ${why}` })

const move = async (source: Buffer, target: Buffer): Promise<void> => {
  const [from, to] = [await kindOf(source, false), await kindOf(target, true)]
  if (from === "directory" && to === "directory") {
    for (const name of await children(source)) await move(inside(source, name), inside(target, name))
    return
  }
  await rename(source, target)
}
