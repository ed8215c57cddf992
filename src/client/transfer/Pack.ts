/**
 * A local tree as a tar stream: everything under the name `payload`, then `manifest`, one line with the sum
 * over the sums of all files. The manifest comes last, so a stream that has one is complete.
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { Readable } from "node:stream"
import tar, { type Headers, type Pack } from "tar-stream"
import type { LocalTree, TreeEntry } from "./LocalTree.ts"
import { fileProblem, TransferFailed } from "./TransferFailed.ts"

/** The sum of a set of files: SHA-256 over their hexadecimal sums, sorted, one per line. */
export const sumOfSums = (sums: ReadonlyArray<string>): string =>
  createHash("sha256")
    .update(
      sums
        .toSorted()
        .map((sum) => `${sum}\n`)
        .join(""),
    )
    .digest("hex")

export interface PackOptions {
  /** Called with the bytes of file content packed so far. */
  readonly onProgress?: (bytes: number) => void
}

/** Fails with TransferFailed when a file cannot be read or is not as long as it was. */
export const packTree = (tree: LocalTree, options: PackOptions = {}): Readable => {
  const pack = tar.pack()
  fill(pack, tree, options).catch((cause: unknown) =>
    pack.destroy(cause instanceof Error ? cause : new Error(String(cause))),
  )
  // tar-stream's own streams are not node's; the wrapper gives the rest of the program what it expects.
  return Readable.from(pack, { objectMode: false })
}

const fill = async (pack: Pack, tree: LocalTree, options: PackOptions): Promise<void> => {
  const sums: Array<string> = []
  let packed = 0
  const count = (bytes: number): void => {
    packed += bytes
    options.onProgress?.(packed)
  }
  for (const entry of tree.entries) {
    if (entry.kind === "file") sums.push(await addFile(pack, entry, count))
    else await add(pack, headerOf(entry))
  }
  await add(pack, { name: "manifest", type: "file", mode: 0o600 }, `${sumOfSums(sums)}\n`)
  pack.finalize()
}

const headerOf = (entry: TreeEntry): Headers => ({
  name: entry.path === "" ? "payload" : `payload/${entry.path}`,
  type: entry.kind,
  mode: entry.mode,
  // ustar counts seconds from 1970 in what tar-stream keeps as 32 bits.
  mtime: new Date(Math.min(Math.max(entry.modifiedAt.getTime(), 0), 2_147_483_647_000)),
  ...(entry.kind === "symlink" ? { linkname: entry.target } : {}),
})

const add = (pack: Pack, header: Headers, content?: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error == null ? resolve() : reject(error))
    if (content === undefined) pack.entry(header, done)
    else pack.entry(header, content, done)
  })

/** Packs one file and returns its SHA-256. */
const addFile = async (pack: Pack, entry: TreeEntry, count: (bytes: number) => void): Promise<string> => {
  const hash = createHash("sha256")
  const finished = Promise.withResolvers<void>()
  const sink = pack.entry({ ...headerOf(entry), size: entry.size }, (error) =>
    error == null ? finished.resolve() : finished.reject(error),
  )
  finished.promise.catch(() => undefined)
  let read = 0
  try {
    if (entry.size > 0) {
      const source = createReadStream(entry.source, { end: entry.size - 1, highWaterMark: 262_144 })
      for await (const chunk of source) {
        if (!Buffer.isBuffer(chunk)) continue
        hash.update(chunk)
        read += chunk.length
        count(chunk.length)
        if (!sink.write(chunk)) await drained(sink)
      }
    }
  } catch (cause) {
    throw fileProblem("unreadable", `cannot read ${entry.source}`, cause)
  }
  if (read !== entry.size) {
    throw new TransferFailed({
      reason: "changed",
      message: `${entry.source} became shorter while it was read`,
    })
  }
  sink.end()
  await finished.promise
  return hash.digest("hex")
}

const drained = (sink: NodeJS.EventEmitter): Promise<void> =>
  new Promise((resolve, reject) => {
    const settle = (): void => {
      sink.off("drain", settle)
      sink.off("close", onClose)
      resolve()
    }
    const onClose = (): void => {
      sink.off("drain", settle)
      reject(new TransferFailed({ reason: "changed", message: "the transfer was stopped" }))
    }
    sink.once("drain", settle)
    sink.once("close", onClose)
  })
