/** Small vocabulary for declaring the command tree: how a declaration reaches its implementation. */
import type { Command } from "commander"
import type { CliDependencies } from "./Dependencies.ts"
import { type Implementation, type Invocation, invocationOf } from "./Invocation.ts"
import type { ExecuteOptions } from "./Runtime.ts"

export interface TreeContext {
  readonly dependencies: CliDependencies
  /** The arguments after `holdfast`, as typed. */
  readonly argv: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where a command leaves its exit code. */
  readonly finish: (exitCode: number) => void
}

/** A problem with how the command was written, found after parsing. Exit code 2. */
export const usageError = (command: Command, message: string): never =>
  command.error(`error: ${message}`, { exitCode: 2, code: "holdfast.usage" })

export interface Shape extends ExecuteOptions {
  /** Whether words after `--` belong to the command; refused otherwise. */
  readonly trailing?: boolean
  /** Words that stand for a command even without `--`, after this many operands. */
  readonly commandAfter?: number
}

const shaped = (invocation: Invocation, command: Command, shape: Shape): Invocation => {
  if (shape.trailing !== true && shape.commandAfter === undefined) {
    return { ...invocation, operands: [...invocation.operands, ...invocation.trailing], trailing: [] }
  }
  const limit = shape.commandAfter
  if (limit === undefined || invocation.operands.length <= limit) return invocation
  if (invocation.trailing.length > 0) {
    usageError(command, `unexpected words before --: ${invocation.operands.slice(limit).join(" ")}`)
  }
  return {
    ...invocation,
    operands: invocation.operands.slice(0, limit),
    trailing: invocation.operands.slice(limit),
  }
}

/** The action of a command whose implementation is loaded when it runs. */
export const lazily =
  (context: TreeContext, load: () => Promise<Implementation>, shape: Shape = {}) =>
  async (...parameters: ReadonlyArray<unknown>): Promise<void> => {
    const command = commandOf(parameters)
    const invocation = shaped(invocationOf(command, context.argv, context.environment), command, shape)
    const [{ execute }, implementation] = await Promise.all([import("./Runtime.ts"), load()])
    context.finish(await execute(await implementation(invocation), invocation, shape))
  }

/** Commander passes the command itself as the last parameter of every action. */
export const commandOf = (parameters: ReadonlyArray<unknown>): Command => {
  const last = parameters.at(-1)
  if (!isCommand(last)) throw new Error("commander called an action without its command")
  return last
}

const isCommand = (value: unknown): value is Command =>
  typeof value === "object" && value !== null && "optsWithGlobals" in value && "parent" in value
