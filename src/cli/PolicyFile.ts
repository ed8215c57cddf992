/** Policies as files: YAML or JSON, with the wire's field names in snake case or in camel case. */
import { readFile } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { Effect } from "effect"
import { parse, stringify } from "yaml"
import type { NetworkRule, SandboxPolicy } from "../domain/Policy.ts"
import { policyOfTree, ruleOfTree, treeOfPolicy } from "../wire/openshell-v1/PolicyMessages.ts"
import { CliFailure } from "./Failure.ts"

const reading =
  <A>(what: string, message: string, decode: (tree: unknown) => A) =>
  (file: string): Effect.Effect<A, CliFailure> =>
    Effect.tryPromise({
      try: async () => decode(parse(file === "-" ? await text(process.stdin) : await readFile(file, "utf8"))),
      catch: (cause) =>
        new CliFailure({
          what: `cannot use the ${what} in ${file}`,
          why: cause instanceof Error ? cause.message : String(cause),
          next: `Write it as YAML or JSON with the fields of openshell.sandbox.v1.${message}.`,
          exitCode: 2,
          cause,
        }),
    })

/** `-` reads stdin. */
export const readPolicy: (file: string) => Effect.Effect<SandboxPolicy, CliFailure> = reading(
  "policy",
  "SandboxPolicy",
  policyOfTree,
)

export const readRule: (file: string) => Effect.Effect<NetworkRule, CliFailure> = reading(
  "rule",
  "NetworkPolicyRule",
  ruleOfTree,
)

/** As `readPolicy` reads it. */
export const policyYaml = (policy: SandboxPolicy): string => stringify(treeOfPolicy(policy))
