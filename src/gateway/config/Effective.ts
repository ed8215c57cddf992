/** What holds for each setting, as text for people, and who said so. */
import { Redacted } from "effect"
import type { HostPort } from "../../cluster/ClusterConfig.ts"
import type { GatewaySettings, Inspection } from "../GatewaySettings.ts"
import { fileKeyOf, type SettingName, settingNames, settingOf } from "../SettingsTable.ts"
import type { Source } from "./Problem.ts"

export interface EffectiveSetting {
  readonly name: SettingName
  /** `holdfast.peer.listen` */
  readonly key: string
  readonly value: string
  readonly source: Source
}

const hidden = "<hidden>"

/** A database's address without its password; any other secret says only that it is there. */
const concealed = (text: string): string => {
  if (/^sqlite:/.test(text)) return text
  if (!URL.canParse(text)) return hidden
  const { protocol, username, host, pathname } = new URL(text)
  return host === ""
    ? hidden
    : `${protocol}//${username === "" ? "" : `${username}:${hidden}@`}${host}${pathname}`
}

const isAddress = (value: object): value is HostPort => "host" in value && "port" in value

const textOf = (value: unknown): string | undefined => {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(textOf).join(",")
  if (Redacted.isRedacted(value)) return hidden
  if (typeof value === "object" && value !== null && isAddress(value))
    return `${value.host.includes(":") ? `[${value.host}]` : value.host}:${value.port}`
  return value === undefined || value === "" || typeof value === "object" ? undefined : String(value)
}

/** Settings that the replica holds under another name. */
const renamed: Partial<Record<SettingName, (settings: GatewaySettings) => string>> = {
  advertiseUrl: ({ url }) => url,
}

const computed = (name: SettingName, settings: GatewaySettings | undefined): string | undefined =>
  settings === undefined ? undefined : textOf(renamed[name]?.(settings) ?? Reflect.get(settings, name))

/** In the order of the table. Where there are problems, defaults that depend on others are words. */
export const effective = ({ given, settings }: Inspection): ReadonlyArray<EffectiveSetting> =>
  settingNames.map((name) => {
    const own = given.get(name)
    const { fallback, secret } = settingOf(name)
    const value =
      own === undefined
        ? (computed(name, settings) ?? fallback)
        : secret === true
          ? concealed(own.value)
          : own.value
    return { name, key: fileKeyOf(name).join("."), value, source: own?.source ?? { kind: "default" } }
  })
