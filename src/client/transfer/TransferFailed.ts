import { Data } from "effect"

/** A copy that did not happen, for a reason on one of the two sides rather than between them. */
export class TransferFailed extends Data.TaggedError("TransferFailed")<{
  readonly reason: "missing" | "conflict" | "unreadable" | "unwritable" | "changed" | "damaged" | "tool"
  readonly message: string
}> {}

/** A failed file operation in words, without the name of the system call. */
export const fileProblem = (
  reason: TransferFailed["reason"],
  what: string,
  cause: unknown,
): TransferFailed => {
  if (cause instanceof TransferFailed) return cause
  const code = codeOf(cause)
  const why = words[code] ?? (cause instanceof Error ? cause.message : String(cause))
  return new TransferFailed({ reason: code === "ENOENT" ? "missing" : reason, message: `${what}: ${why}` })
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

const words: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOSPC: "no space left on the device",
  EROFS: "the file system is read-only",
  EEXIST: "it exists already",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
}
