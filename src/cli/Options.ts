/** Reads a command's options as the types that its declaration in the tree gives them. */
import type { Invocation } from "./Invocation.ts"

export const flag = ({ options }: Invocation, name: string): boolean => options[name] === true

/** A `--no-…` option: true unless it was given. */
export const unlessNegated = ({ options }: Invocation, name: string): boolean => options[name] !== false

export const textOption = ({ options }: Invocation, name: string): string | undefined => {
  const value = options[name]
  return typeof value === "string" ? value : undefined
}

export const numberOption = ({ options }: Invocation, name: string): number | undefined => {
  const value = options[name]
  return typeof value === "number" ? value : undefined
}

export const listOption = ({ options }: Invocation, name: string): ReadonlyArray<string> => {
  const value = options[name]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : []
}

export const mapOption = ({ options }: Invocation, name: string): Readonly<Record<string, string>> => {
  const value = options[name]
  if (typeof value !== "object" || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  )
}

/** The operand that the declaration requires, so commander has made sure of it. */
export const operand = ({ operands }: Invocation, index: number): string => operands[index] ?? ""
