import { Effect } from "effect"
import packageJson from "../../../package.json" with { type: "json" }
import type { Implementation } from "../Invocation.ts"
import { print, printJson } from "../Output.ts"

export const printVersion: Implementation = ({ globals }) =>
  Effect.as(
    globals.output === "json"
      ? printJson({ version: packageJson.version, node: process.versions.node })
      : print(`holdfast ${packageJson.version}\n`),
    0,
  )
