/** What may be asked of an exec, and the shell string that it becomes (wire contract 1.6, 3.3): pure. */
import { limits } from "./Limits.ts"

export interface ExecRequest {
  readonly sandboxId: string
  readonly command: ReadonlyArray<string>
  readonly workdir: string
  readonly environment: Readonly<Record<string, string>>
}

/** A command with its conditions. */
export interface ExecStart extends ExecRequest {
  /** After this the command is ended and its exit code is 124; 0 for never. */
  readonly timeoutSeconds: number
  /** All of the input, or its beginning where more follows. */
  readonly stdin: Uint8Array
  readonly tty: boolean
  /** 0 leaves the size to the gateway. */
  readonly cols: number
  readonly rows: number
}

export type ExecInput =
  | { readonly _tag: "Start"; readonly start: ExecStart }
  | { readonly _tag: "Stdin"; readonly data: Uint8Array }
  | { readonly _tag: "Resize"; readonly cols: number; readonly rows: number }
  /** Of a later version. */
  | { readonly _tag: "Unknown" }

export type ExecEvent =
  | { readonly _tag: "Stdout"; readonly data: Uint8Array }
  | { readonly _tag: "Stderr"; readonly data: Uint8Array }
  /** The last one. */
  | { readonly _tag: "Exit"; readonly exitCode: number }
  /** Of a later version. */
  | { readonly _tag: "Unknown" }

const bytes = (text: string) => Buffer.byteLength(text, "utf8")

export const environmentKey = /^[A-Za-z_][A-Za-z0-9_]*$/
/** The one variable of that prefix that SDKs need (wire contract 1.6). */
const allowedVariable = "OPENSHELL_PYFUNC_B64"

/** Why a request is refused, or undefined. The first rule that it breaks decides. */
export const refusalOfExec = ({
  sandboxId,
  command,
  workdir,
  environment,
}: ExecRequest): string | undefined => {
  if (sandboxId === "") return "sandbox_id is required"
  if (command.length === 0) return "command is required"
  if (command.length > limits.execArguments) return `command exceeds ${limits.execArguments} arguments`
  for (const argument of command) {
    if (bytes(argument) > limits.execArgumentBytes)
      return `command argument exceeds ${limits.execArgumentBytes} byte limit`
    if (argument.includes("\0")) return "command argument contains a NUL byte"
  }
  if (bytes(workdir) > limits.execWorkdirBytes) return `workdir exceeds ${limits.execWorkdirBytes} byte limit`
  if (/[\0\n\r]/.test(workdir)) return "workdir contains a NUL byte or a line break"
  for (const [key, value] of Object.entries(environment)) {
    if (!environmentKey.test(key)) return `invalid environment key '${key}'`
    if (key.startsWith("OPENSHELL_") && key !== allowedVariable) return `environment key '${key}' is reserved`
    if (value.includes("\0")) return `environment value of '${key}' contains a NUL byte`
  }
  return undefined
}

const plain = /^[A-Za-z0-9_@%+=:,./-]+$/

/** Single-quoted for a POSIX shell unless it is plain. */
export const quote = (word: string): string =>
  plain.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`

export const tooLongText = `command exceeds ${limits.execCommandBytes} byte limit after it is rendered for the shell`

/** `cd DIR && K=V … argv…`; undefined when it exceeds `execCommandBytes`. */
export const renderCommand = (
  request: Pick<ExecRequest, "command" | "workdir" | "environment">,
): string | undefined => {
  const cd = request.workdir === "" ? "" : `cd ${quote(request.workdir)} && `
  const assignments = Object.entries(request.environment).map(([key, value]) => `${key}=${quote(value)} `)
  const text = `${cd}${assignments.join("")}${request.command.map(quote).join(" ")}`
  return bytes(text) > limits.execCommandBytes ? undefined : text
}

/** Exit code of a command that outlived its timeout, as `timeout(1)` reports it. */
export const timedOutExitCode = 124
