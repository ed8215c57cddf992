/** What is wrong with the configuration of a replica, and where it says so. */
import { flagOf, type SettingName, variableOf } from "../SettingsTable.ts"

/** Where the value of a setting comes from. */
export type Source =
  | { readonly kind: "flag" }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly file: string; readonly line: number }
  | { readonly kind: "default" }

export interface Given {
  readonly value: string
  readonly source: Source
}

export interface Problem {
  /** A flag, a variable, `FILE:LINE`, or a file. */
  readonly where: string
  readonly message: string
}

/** How a person finds the place: what they wrote, or could write. */
export const placeOf = (name: SettingName, source: Source | undefined): string => {
  switch (source?.kind) {
    case "flag":
      return `--${flagOf(name)}`
    case "environment":
      return source.variable
    case "file":
      return `${source.file}:${source.line}`
    default:
      return variableOf(name)
  }
}

export const lineOf = ({ where, message }: Problem): string => `${where}: ${message}`
