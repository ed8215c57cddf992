/** The options of `holdfast policy update` as merge operations, in the order of the help. */
import { Effect } from "effect"
import type { PolicyOperation, RequestPattern } from "../../domain/Policy.ts"
import { type CliFailure, usageFailure } from "../Failure.ts"
import type { Invocation } from "../Invocation.ts"
import { listOption, textOption } from "../Options.ts"

interface Address {
  readonly host: string
  readonly port: number
}

/** `HOST:PORT`; an IPv6 address in brackets. */
const addressOf = (text: string): Effect.Effect<Address, CliFailure> => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text)
  const port = Number(match?.[3])
  return match === null || port < 1 || port > 65_535
    ? Effect.fail(usageFailure(`"${text}" is no address`, "Write HOST:PORT."))
    : Effect.succeed({ host: match[1] ?? match[2] ?? "", port })
}

/** `HOST:PORT METHOD PATH`. */
const requestOf = (
  text: string,
): Effect.Effect<Address & { readonly pattern: RequestPattern }, CliFailure> => {
  const [address = "", method = "", path = "", ...rest] = text.trim().split(/\s+/)
  return path === "" || rest.length > 0
    ? Effect.fail(usageFailure(`"${text}" is no request`, 'Write "HOST:PORT METHOD PATH" in quotes.'))
    : Effect.map(addressOf(address), (at) => ({ ...at, pattern: { method, path } }))
}

const added = (invocation: Invocation) =>
  Effect.gen(function* () {
    const addresses = yield* Effect.forEach(listOption(invocation, "allow"), addressOf)
    const binaries = listOption(invocation, "binary").map((path) => ({ path }))
    const protocol = textOption(invocation, "protocol")
    const access = textOption(invocation, "access")
    return addresses.map(({ host, port }): PolicyOperation => {
      const ruleName = textOption(invocation, "rule") ?? `${host.replaceAll(/[^A-Za-z0-9]+/g, "_")}_${port}`
      const endpoint = {
        host,
        port,
        ...(protocol === undefined ? {} : { protocol, enforcement: "enforce" }),
        ...(access === undefined ? {} : { access }),
      }
      return {
        kind: "addRule",
        ruleName,
        rule: { name: ruleName, endpoints: [endpoint], ...(binaries.length === 0 ? {} : { binaries }) },
      }
    })
  })

export const operationsOf = (
  invocation: Invocation,
): Effect.Effect<ReadonlyArray<PolicyOperation>, CliFailure> =>
  Effect.gen(function* () {
    const rule = textOption(invocation, "rule") ?? ""
    const each = (name: string) => listOption(invocation, name)
    const operations: ReadonlyArray<PolicyOperation> = [
      ...(yield* added(invocation)),
      ...(yield* Effect.forEach(each("allowRequest"), requestOf)).map(
        ({ host, port, pattern }): PolicyOperation => ({
          kind: "addAllowRules",
          host,
          port,
          rules: [{ allow: pattern }],
        }),
      ),
      ...(yield* Effect.forEach(each("denyRequest"), requestOf)).map(
        ({ host, port, pattern }): PolicyOperation => ({
          kind: "addDenyRules",
          host,
          port,
          denyRules: [pattern],
        }),
      ),
      ...(yield* Effect.forEach(each("removeEndpoint"), addressOf)).map(
        (at): PolicyOperation => ({ kind: "removeEndpoint", ruleName: rule, ...at }),
      ),
      ...each("removeBinary").map(
        (binaryPath): PolicyOperation => ({ kind: "removeBinary", ruleName: rule, binaryPath }),
      ),
      ...each("removeRule").map((ruleName): PolicyOperation => ({ kind: "removeRule", ruleName })),
    ]
    if (each("removeBinary").length > 0 && rule === "")
      return yield* usageFailure("--remove-binary needs the --rule that it is in")
    if (operations.length === 0)
      return yield* usageFailure("nothing to change", "See `holdfast policy update --help`.")
    return operations
  })
