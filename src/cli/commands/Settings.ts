/** `holdfast settings get|set|delete`: of one sandbox, or of all. */
import { Effect } from "effect"
import { gatewayConfig, type Subject, sandboxConfig, updateConfig } from "../../client/Policies.ts"
import { type EffectiveSetting, registeredSettings, type SettingValue } from "../../domain/SandboxConfig.ts"
import { type CliFailure, usageFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { operand, textOption, unlessNegated } from "../Options.ts"
import { printJson, printListing, say } from "../Output.ts"

const subjectOf = (invocation: Invocation): Subject => {
  const sandbox = textOption(invocation, "sandbox")
  return sandbox === undefined ? { global: true } : { sandbox }
}

const where = (subject: Subject): string =>
  "global" in subject ? "of all sandboxes" : `of sandbox "${subject.sandbox}"`

const attempt = (subject: Subject, action: string) => ({
  action: `${action} ${where(subject)}`,
  ...("global" in subject ? {} : { sandbox: subject.sandbox }),
})

const shown = (value: SettingValue | undefined): string => (value === undefined ? "" : String(value.value))

export const settingsGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const sandbox = operand(invocation, 0)
    const subject: Subject = sandbox === "" ? { global: true } : { sandbox }
    const gateway = yield* openGateway(invocation)
    const reading = attempting(gateway, attempt(subject, "get the settings"))
    const settings: Readonly<Record<string, EffectiveSetting>> =
      sandbox === ""
        ? Object.fromEntries(
            Object.entries((yield* reading(gatewayConfig(gateway))).settings).map(
              ([key, value]) => [key, { value, scope: value === undefined ? "none" : "global" }] as const,
            ),
          )
        : (yield* reading(sandboxConfig(gateway, sandbox))).settings
    yield* printListing(invocation, {
      rows: Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)),
      columns: [
        { heading: "KEY", value: ([key]) => key },
        { heading: "VALUE", value: ([, { value }]) => shown(value) },
        { heading: "SCOPE", value: ([, { scope }]) => (scope === "none" ? "" : scope) },
      ],
      json: ([key, { value, scope }]) => ({ key, value: value?.value ?? null, scope }),
      name: ([key]) => key,
      empty: "The gateway knows no settings.",
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

/** A word as the type that the setting has; of a setting that only the gateway knows, as what it looks like. */
const valueOf = (key: string, text: string): Effect.Effect<SettingValue, CliFailure> => {
  const type = registeredSettings.get(key)?.type
  if (type === "string") return Effect.succeed({ type: "string", value: text })
  if (text === "true" || text === "false") return Effect.succeed({ type: "bool", value: text === "true" })
  return type === "bool"
    ? Effect.fail(usageFailure(`setting "${key}" is true or false, not "${text}"`))
    : Effect.succeed({ type: "string", value: text })
}

export const settingsSet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const settingKey = operand(invocation, 0)
    const settingValue = yield* valueOf(settingKey, operand(invocation, 1))
    const subject = subjectOf(invocation)
    const gateway = yield* openGateway(invocation)
    const updated = yield* updateConfig(gateway, subject, { settingKey, settingValue }).pipe(
      attempting(gateway, attempt(subject, `set ${settingKey}`)),
    )
    if (invocation.globals.output === "json") yield* printJson(updated)
    else yield* say(`${settingKey} ${where(subject)} is ${shown(settingValue)} now.`)
    return 0
  })

export const settingsDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const settingKey = operand(invocation, 0)
    const subject = subjectOf(invocation)
    const gateway = yield* openGateway(invocation)
    const { deleted } = yield* updateConfig(gateway, subject, { settingKey, deleteSetting: true }).pipe(
      attempting(gateway, attempt(subject, `delete ${settingKey}`)),
    )
    if (invocation.globals.output === "json") yield* printJson({ deleted })
    else yield* say(deleted ? `Deleted ${settingKey} ${where(subject)}.` : `${settingKey} was not set there.`)
    return 0
  })
