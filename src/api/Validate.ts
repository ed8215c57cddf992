/** Refusals of requests that break the limits of the wire (1.3, Appendix A): pure. */
import { Effect } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import { type ExecRequest, environmentKey, refusalOfExec } from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import type { SandboxSpec } from "../domain/Sandbox.ts"
import { contentRefusal, reservedRefusal } from "../policy/Content.ts"
import { createdPolicy } from "../policy/OwnHead.ts"

type Check = Effect.Effect<void, InvalidArgument>

/** A request that is wrong, whoever sends it. */
export const refuse = (message: string) => new InvalidArgument({ message })

const bytes = (text: string) => Buffer.byteLength(text, "utf8")
/** The first check that refuses decides. */
const all = (...checks: ReadonlyArray<Check>): Check => Effect.all(checks, { discard: true })
const when = (refused: boolean, message: () => string): Check => (refused ? refuse(message()) : Effect.void)

const dnsLabel = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is those that are looked for
const hasControl = /[\u0000-\u001f\u007f]/
const labelKey = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/

/** The name of a sandbox, a workspace or a service: host names join the three in one DNS label. */
export const objectName = (name: string): Check =>
  all(
    when(name.length > limits.nameLength, () => `name must be at most ${limits.nameLength} characters`),
    when(!dnsLabel.test(name), () => "name must be a DNS label (lowercase letters, digits and '-')"),
    when(name.includes("--"), () => "name must not contain '--'"),
  )

/** Whose membership: what an identity provider calls a user. */
export const subject = (text: string): Check =>
  all(
    when(
      text.length > limits.objectNameLength,
      () => `principal_subject exceeds ${limits.objectNameLength} characters`,
    ),
    when(hasControl.test(text), () => "principal_subject contains a control character"),
  )

export const labels = (map: Readonly<Record<string, string>>): Check => {
  const entries = Object.entries(map)
  return all(
    when(entries.length > limits.mapEntries, () => `labels exceed ${limits.mapEntries} entries`),
    ...entries.map(([key, value]) =>
      all(
        when(!labelKey.test(key), () => `invalid label key '${key}'`),
        when(!labelValue.test(value), () => `invalid value of label '${key}'`),
      ),
    ),
  )
}

const annotations = (map: Readonly<Record<string, string>>): Check =>
  when(Object.keys(map).length > limits.mapEntries, () => `annotations exceed ${limits.mapEntries} entries`)

const environment = (map: Readonly<Record<string, string>>): Check => {
  const entries = Object.entries(map)
  const total = entries.reduce((sum, [key, value]) => sum + bytes(key) + bytes(value), 0)
  return all(
    when(entries.length > limits.mapEntries, () => `environment exceeds ${limits.mapEntries} entries`),
    when(
      total > limits.environmentTotalBytes,
      () => `environment exceeds ${limits.environmentTotalBytes} bytes in total`,
    ),
    ...entries.map(([key, value]) =>
      all(
        when(!environmentKey.test(key), () => `invalid environment key '${key}'`),
        when(
          bytes(key) > limits.environmentKeyBytes,
          () => `environment key exceeds ${limits.environmentKeyBytes} bytes`,
        ),
        when(
          bytes(value) > limits.environmentValueBytes,
          () => `environment value of '${key}' exceeds ${limits.environmentValueBytes} bytes`,
        ),
        when(value.includes("\0"), () => `environment value of '${key}' contains a NUL byte`),
      ),
    ),
  )
}

const sizeOf = (value: unknown): number => (value === undefined ? 0 : bytes(JSON.stringify(value)))

const template = (it: NonNullable<SandboxSpec["template"]>): Check =>
  all(
    ...[it.image, it.runtimeClassName, it.agentSocket].map((text) =>
      when(
        bytes(text) > limits.templateStringBytes,
        () => `template string exceeds ${limits.templateStringBytes} bytes`,
      ),
    ),
    labels(it.labels),
    annotations(it.annotations),
    environment(it.environment),
    when(
      sizeOf(it.resources) > limits.templateStructBytes ||
        sizeOf(it.driverConfig) > limits.templateStructBytes,
      () => `template struct exceeds ${limits.templateStructBytes} bytes`,
    ),
  )

const command = (argv: ReadonlyArray<string>): Check =>
  all(
    when(argv.length > limits.mainArguments, () => `command exceeds ${limits.mainArguments} arguments`),
    when(
      argv.reduce((sum, arg) => sum + bytes(arg), 0) > limits.mainCommandBytes,
      () => `command exceeds ${limits.mainCommandBytes} byte limit`,
    ),
    when(
      argv.some((arg) => arg.includes("\0")),
      () => "command contains a NUL byte",
    ),
  )

const policy = (it: SandboxSpec): Check => {
  const given = createdPolicy({ spec: it })
  const refusal = given === undefined ? undefined : (reservedRefusal(given) ?? contentRefusal(given))
  return refusal === undefined ? Effect.void : refuse(refusal)
}

export const spec = (it: SandboxSpec): Check =>
  all(
    when(
      it.logLevel.length > limits.logLevelLength,
      () => `log_level exceeds ${limits.logLevelLength} characters`,
    ),
    when(
      it.providers.length > limits.sandboxProviders,
      () => `providers exceed ${limits.sandboxProviders} entries`,
    ),
    environment(it.environment),
    it.template === undefined ? Effect.void : template(it.template),
    when(sizeOf(it.policy) > limits.policyBytes, () => `policy exceeds ${limits.policyBytes} bytes`),
    policy(it),
    command(it.command),
  )

export const metadata = (
  labelMap: Readonly<Record<string, string>>,
  annotationMap: Readonly<Record<string, string>>,
): Check => all(labels(labelMap), annotations(annotationMap))

/** `k=v,k2=v2`, equality only. */
export const labelSelector = (
  text: string,
): Effect.Effect<ReadonlyArray<readonly [string, string]>, InvalidArgument> => {
  if (text.trim() === "") return Effect.succeed([])
  const pairs = text.split(",").map((pair) => pair.split("="))
  if (pairs.length > limits.labelSelectorPairs)
    return refuse(`label_selector exceeds ${limits.labelSelectorPairs} pairs`)
  const parsed: Array<readonly [string, string]> = []
  for (const [key, value, ...rest] of pairs) {
    if (key === undefined || value === undefined || rest.length > 0)
      return refuse(`invalid label_selector '${text}': expected key=value pairs`)
    if (!labelKey.test(key.trim())) return refuse(`invalid label key '${key.trim()}' in label_selector`)
    if (!labelValue.test(value.trim()))
      return refuse(`invalid value of label '${key.trim()}' in label_selector`)
    parsed.push([key.trim(), value.trim()])
  }
  return Effect.succeed(parsed)
}

export const pageLimit = (asked: number): number =>
  asked === 0 ? limits.listDefault : Math.min(asked, limits.listMax)

/** A listing over all workspaces takes no filter that is about one of them; `filters` by their names on the wire. */
export const unfiltered = (allWorkspaces: boolean, filters: Readonly<Record<string, string>>): Check =>
  all(
    ...Object.entries(filters).map(([name, text]) =>
      when(allWorkspaces && text !== "", () => `all_workspaces and ${name} are mutually exclusive`),
    ),
  )

export const exec = (it: ExecRequest): Check => {
  const refusal = refusalOfExec(it)
  return refusal === undefined ? Effect.void : refuse(refusal)
}
