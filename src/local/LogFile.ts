/** Log files of processes that a local cluster starts: appended to, and set aside at start when too large. */
import { closeSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs"
import path from "node:path"
import { limits } from "../domain/Limits.ts"

/** A descriptor that appends to the file; a file above the limit becomes `<file>.1` first. The caller closes it. */
export const openLog = (file: string): number => {
  mkdirSync(path.dirname(file), { recursive: true })
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > limits.localLogBytes)
    renameSync(file, `${file}.1`)
  return openSync(file, "a", 0o600)
}

/** The last lines of a log, for an error message; empty when there is none. */
export const tailOfLog = (file: string, bytes = 2_048): string => {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return ""
  const descriptor = openSync(file, "r")
  try {
    const buffer = Buffer.alloc(Math.min(size, bytes))
    const read = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length)
    const text = buffer.toString("utf8", 0, read)
    return (size > bytes ? text.slice(text.indexOf("\n") + 1) : text).trimEnd()
  } finally {
    closeSync(descriptor)
  }
}
