import type { Dir } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { limits } from "../../domain/Limits.ts"

export interface OpenFile {
  readonly kind: "file"
  readonly file: FileHandle
}

export interface OpenDirectory {
  readonly kind: "directory"
  readonly path: Buffer
  readonly directory: Dir
  /** `.` and `..`, which a listing begins with, have been sent. */
  dotsSent: boolean
}

type Open = OpenFile | OpenDirectory

/** What one sftp session has open; closed together at its end. */
export class Handles {
  readonly #open = new Map<number, Open>()
  #next = 0
  #closed = false

  get full(): boolean {
    return this.#open.size >= limits.sftpHandles
  }

  add(open: Open): number {
    this.#next = (this.#next + 1) >>> 0
    if (this.#closed) void close(open)
    else this.#open.set(this.#next, open)
    return this.#next
  }

  file(handle: Buffer): FileHandle | undefined {
    const open = this.#get(handle)
    return open?.kind === "file" ? open.file : undefined
  }

  directory(handle: Buffer): OpenDirectory | undefined {
    const open = this.#get(handle)
    return open?.kind === "directory" ? open : undefined
  }

  /** False for a handle that is not open. */
  async close(handle: Buffer): Promise<boolean> {
    const open = this.#get(handle)
    if (open === undefined) return false
    this.#open.delete(handle.readUInt32BE())
    await close(open)
    return true
  }

  async closeAll(): Promise<void> {
    this.#closed = true
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.allSettled(all.map(close))
  }

  #get(handle: Buffer): Open | undefined {
    return handle.length === 4 ? this.#open.get(handle.readUInt32BE()) : undefined
  }
}

const close = (open: Open): Promise<void> =>
  open.kind === "file" ? open.file.close() : open.directory.close()
