/** The shell string that an exec becomes (wire contract 3.3): pure. */
import { limits } from "../domain/Limits.ts"

const plain = /^[A-Za-z0-9_@%+=:,./-]+$/

/** Single-quoted for a POSIX shell unless it is plain. */
export const quote = (word: string): string =>
  plain.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`

export interface ExecRequest {
  readonly command: ReadonlyArray<string>
  readonly workdir: string
  readonly environment: Readonly<Record<string, string>>
}

/** `cd DIR && K=V … argv…`; undefined when it exceeds `execCommandBytes`. */
export const renderCommand = (request: ExecRequest): string | undefined => {
  const cd = request.workdir === "" ? "" : `cd ${quote(request.workdir)} && `
  const assignments = Object.entries(request.environment).map(([key, value]) => `${key}=${quote(value)} `)
  const text = `${cd}${assignments.join("")}${request.command.map(quote).join(" ")}`
  return Buffer.byteLength(text, "utf8") > limits.execCommandBytes ? undefined : text
}
