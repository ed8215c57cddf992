/**
 * A tar stream from a sandbox into an empty directory. The sender is not trusted: no name leads out of the
 * directory, nothing is written through a link, and only files, directories and links are made.
 */
import { createWriteStream } from "node:fs"
import { chmod, link, mkdir, symlink, utimes } from "node:fs/promises"
import { pipeline } from "node:stream/promises"
import tar, { type Entry, type Headers } from "tar-stream"
import { limits } from "../../domain/Limits.ts"
import { fileProblem, TransferFailed } from "./TransferFailed.ts"

export interface Unpacked {
  readonly files: number
  readonly bytes: number
  /** Devices, pipes and sockets, which are left out. */
  readonly skipped: ReadonlyArray<string>
}

/** Parts of an entry's name as bytes; undefined for one that would lead out of the directory. */
export const safeParts = (name: Buffer): ReadonlyArray<Buffer> | undefined => {
  const parts: Array<Buffer> = []
  if (name[0] === slash || name.includes(0)) return undefined
  for (let at = 0; at <= name.length; ) {
    const next = name.indexOf(slash, at)
    const end = next === -1 ? name.length : next
    const part = name.subarray(at, end)
    if (part.equals(dotDot)) return undefined
    if (part.length > 0 && !part.equals(dot)) parts.push(part)
    at = end + 1
  }
  return parts
}

const slash = 0x2f
const dot = Buffer.from(".")
const dotDot = Buffer.from("..")

/** Names in old headers are bytes, kept as latin1 by the reader below; those in pax headers are UTF-8. */
const bytesOf = (text: string, isPax: boolean): Buffer => Buffer.from(text, isPax ? "utf8" : "latin1")

/** tar-stream keeps the pax header that an entry had; its types do not say so. */
const hasPax = (header: Headers, key: string): boolean =>
  "pax" in header && typeof header.pax === "object" && header.pax !== null && key in header.pax

const pathIn = (root: Buffer, parts: ReadonlyArray<Buffer>): Buffer =>
  Buffer.concat([root, ...parts.flatMap((part) => [Buffer.from("/"), part])])

export interface UnpackOptions {
  /** The archive is one file: its content goes to `root` itself, whatever its name. */
  readonly single: boolean
}

/**
 * Reads `source` to its end. `root` is made by the first entry (a directory) or is the file itself (`single`).
 * Rejects with TransferFailed.
 */
export const unpackTree = async (
  source: NodeJS.ReadableStream,
  root: string,
  options: UnpackOptions,
): Promise<Unpacked> => {
  const unpacking = new Unpacking(Buffer.from(root), options.single)
  const extract = tar.extract({ filenameEncoding: "latin1" })
  const feeding = pipeline(source, extract)
  feeding.catch(() => undefined)
  try {
    for await (const entry of extract) {
      await unpacking.add(entry)
      entry.resume()
    }
    await feeding
    await unpacking.finish()
  } catch (cause) {
    extract.destroy()
    throw fileProblem("unwritable", "cannot unpack", cause)
  }
  return unpacking
}

class Unpacking implements Unpacked {
  files = 0
  bytes = 0
  readonly skipped: Array<string> = []
  readonly #root: Buffer
  readonly #single: boolean
  readonly #directories: Array<{ readonly path: Buffer; readonly header: Headers }> = []
  readonly #symlinks: Array<{ readonly path: Buffer; readonly target: Buffer }> = []
  #entries = 0

  constructor(root: Buffer, single: boolean) {
    this.#root = root
    this.#single = single
  }

  async add(entry: Entry): Promise<void> {
    const { header } = entry
    this.#entries += 1
    if (this.#entries > limits.transferEntries) {
      throw new TransferFailed({ reason: "unwritable", message: `more than ${limits.transferEntries} files` })
    }
    const path = this.#pathOf(header.name, hasPax(header, "path"))
    switch (header.type) {
      case "directory":
        await mkdir(path, { recursive: true, mode: 0o700 })
        this.#directories.push({ path, header })
        return
      case "file":
      case "contiguous-file":
        return this.#file(entry, path)
      case "symlink":
        this.#symlinks.push({ path, target: this.#linkBytes(header) })
        return
      case "link":
        await link(this.#pathOf(header.linkname ?? "", hasPax(header, "linkpath")), path)
        return
      default:
        this.skipped.push(header.name)
    }
  }

  /** Links last, so that no entry was written through one; then directories from the inside out. */
  async finish(): Promise<void> {
    for (const { path, target } of this.#symlinks) await symlink(target, path)
    for (const { path, header } of this.#directories.toReversed()) {
      await chmod(path, (header.mode ?? 0o755) & 0o777)
      if (header.mtime !== undefined) await utimes(path, header.mtime, header.mtime)
    }
  }

  async #file(entry: Entry, path: Buffer): Promise<void> {
    const { header } = entry
    await pipeline(entry, createWriteStream(path, { flags: "wx", mode: 0o600, highWaterMark: 262_144 }))
    await chmod(path, (header.mode ?? 0o644) & 0o777)
    if (header.mtime !== undefined) await utimes(path, header.mtime, header.mtime)
    this.files += 1
    this.bytes += header.size ?? 0
  }

  #linkBytes(header: Headers): Buffer {
    return bytesOf(header.linkname ?? "", hasPax(header, "linkpath"))
  }

  #pathOf(name: string, isPax: boolean): Buffer {
    if (this.#single) return this.#root
    const parts = safeParts(bytesOf(name, isPax))
    if (parts === undefined) {
      throw new TransferFailed({ reason: "damaged", message: `the sandbox sent the unsafe name ${name}` })
    }
    return pathIn(this.#root, parts)
  }
}
