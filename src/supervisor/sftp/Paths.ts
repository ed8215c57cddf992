import { realpath } from "node:fs/promises"

const slash = 0x2f

/** A path as the client wrote it, on the file system: relative ones begin in the working directory. */
export const resolvePath = (workdir: string, path: Buffer): Buffer => {
  if (path.length === 0) return Buffer.from(workdir)
  return path[0] === slash ? path : Buffer.concat([Buffer.from(`${workdir}/`), path])
}

/** The canonical form of a path; the last name of it need not exist, so that a client can ask before it writes. */
export const canonical = async (path: Buffer): Promise<Buffer> => {
  try {
    return await realpath(path, "buffer")
  } catch (cause) {
    const { parent, name } = splitLast(path)
    if (!isMissing(cause) || name.length === 0) throw cause
    const directory = await realpath(parent, "buffer")
    return Buffer.concat([directory, directory.at(-1) === slash ? Buffer.alloc(0) : Buffer.from("/"), name])
  }
}

const isMissing = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ENOENT"

const splitLast = (path: Buffer): { readonly parent: Buffer; readonly name: Buffer } => {
  let end = path.length
  while (end > 1 && path[end - 1] === slash) end -= 1
  const at = path.lastIndexOf(slash, end - 1)
  return { parent: at <= 0 ? Buffer.from("/") : path.subarray(0, at), name: path.subarray(at + 1, end) }
}
