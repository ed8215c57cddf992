/** What a path on this machine consists of, read before any of it is sent. */
import type { Stats } from "node:fs"
import { lstat, readdir, readlink, realpath, stat } from "node:fs/promises"
import { join } from "node:path"
import { limits } from "../../domain/Limits.ts"
import { GitIgnore } from "./GitIgnore.ts"
import { fileProblem, TransferFailed } from "./TransferFailed.ts"

export interface TreeEntry {
  /** Below the root, with `/` between parts; empty for the root itself. */
  readonly path: string
  /** Where to read it. */
  readonly source: string
  readonly kind: "file" | "directory" | "symlink"
  /** Permission bits, without set-id bits. */
  readonly mode: number
  /** Bytes; 0 unless a file. */
  readonly size: number
  readonly modifiedAt: Date
  /** Of a symlink. */
  readonly target: string
}

export interface LocalTree {
  /** The root first, parents before children, names in order. */
  readonly entries: ReadonlyArray<TreeEntry>
  readonly totalBytes: number
  /** Sockets, pipes and devices, which are left out. */
  readonly skipped: ReadonlyArray<string>
}

export interface TreeOptions {
  readonly gitIgnore?: boolean
}

/** A root that is a symlink is followed; links below it are copied as links. Rejects with TransferFailed. */
export const readLocalTree = async (root: string, options: TreeOptions = {}): Promise<LocalTree> => {
  try {
    const source = await realpath(root)
    const reading = new Reading()
    const stats = await stat(source)
    const rules = options.gitIgnore === true && stats.isDirectory() ? await GitIgnore.at(source) : undefined
    await reading.visit("", source, stats, rules)
    if (reading.entries.length === 0) {
      throw new TransferFailed({ reason: "unreadable", message: `${root} is neither a file nor a directory` })
    }
    return reading
  } catch (cause) {
    throw fileProblem("unreadable", `cannot read ${root}`, cause)
  }
}

class Reading implements LocalTree {
  readonly entries: Array<TreeEntry> = []
  readonly skipped: Array<string> = []
  totalBytes = 0

  async visit(path: string, source: string, stats: Stats, rules: GitIgnore | undefined): Promise<void> {
    if (this.entries.length >= limits.transferEntries) {
      throw new TransferFailed({
        reason: "unreadable",
        message: `more than ${limits.transferEntries} files; copy its parts one by one`,
      })
    }
    const kind = kindOf(stats)
    if (kind === undefined) {
      this.skipped.push(source)
      return
    }
    const target = kind === "symlink" ? await readlink(source) : ""
    this.entries.push({
      path,
      source,
      kind,
      mode: stats.mode & 0o777,
      size: kind === "file" ? stats.size : 0,
      modifiedAt: stats.mtime,
      target,
    })
    if (kind === "file") this.totalBytes += stats.size
    if (kind === "directory") await this.#children(path, source, rules)
  }

  async #children(path: string, source: string, rules: GitIgnore | undefined): Promise<void> {
    const names = (await readdir(source, { encoding: "buffer" })).map((name) => nameOf(name, source)).sort()
    for (const name of names) {
      const child = join(source, name)
      const stats = await lstat(child)
      if (rules?.ignores(child, stats.isDirectory()) === true) continue
      const below = stats.isDirectory() ? await rules?.enter(child) : rules
      await this.visit(path === "" ? name : `${path}/${name}`, child, stats, below)
    }
  }
}

const kindOf = (stats: Stats): TreeEntry["kind"] | undefined => {
  if (stats.isFile()) return "file"
  if (stats.isDirectory()) return "directory"
  return stats.isSymbolicLink() ? "symlink" : undefined
}

/** Tar's long names are UTF-8; a name that is not would arrive as another one. */
const nameOf = (bytes: Buffer, directory: string): string => {
  const name = bytes.toString("utf8")
  if (!Buffer.from(name, "utf8").equals(bytes)) {
    throw new TransferFailed({
      reason: "unreadable",
      message: `a name in ${directory} is not UTF-8 (${bytes.toString("latin1")}); copy it with scp (holdfast ssh-config)`,
    })
  }
  return name
}
