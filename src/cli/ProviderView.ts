/** Providers as rows, as JSON and in full; credentials as their names. */
import type { Provider } from "../domain/Provider.ts"
import { renderFields } from "./Output.ts"
import { formatAge } from "./text/Duration.ts"
import type { Column } from "./text/Table.ts"

const pairs = (map: Readonly<Record<string, string>>): string =>
  Object.entries(map)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ")

const expiry = ({ credentialExpiresAtMs }: Provider, key: string): string => {
  const atMs = credentialExpiresAtMs[key] ?? 0
  return atMs === 0 ? key : `${key} (until ${new Date(atMs).toISOString()})`
}

export const providerColumns = (nowMs: number, withWorkspace: boolean): ReadonlyArray<Column<Provider>> => [
  ...(withWorkspace
    ? [{ heading: "WORKSPACE", value: ({ workspace }: Provider) => workspace } satisfies Column<Provider>]
    : []),
  { heading: "NAME", value: ({ name }) => name },
  { heading: "TYPE", value: ({ type }) => type },
  { heading: "CREDENTIALS", value: ({ credentialKeys }) => credentialKeys.join(",") },
  { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
]

export const providerWideColumns: ReadonlyArray<Column<Provider>> = [
  { heading: "ID", value: ({ id }) => id },
  { heading: "CONFIG", value: ({ config }) => pairs(config) },
]

export const providerJson = (provider: Provider): unknown => ({
  ...provider,
  createdAt: new Date(provider.createdAtMs).toISOString(),
})

export const describeProvider = (provider: Provider, nowMs: number): string =>
  renderFields([
    ["Name", provider.name],
    ["Workspace", provider.workspace],
    ["ID", provider.id],
    ["Type", provider.type],
    ["Credentials", provider.credentialKeys.map((key) => expiry(provider, key)).join(", ")],
    ["Config", pairs(provider.config)],
    ["Labels", pairs(provider.labels)],
    ["Annotations", pairs(provider.annotations)],
    ["Version", String(provider.resourceVersion)],
    [
      "Created",
      `${new Date(provider.createdAtMs).toISOString()} (${formatAge(nowMs - provider.createdAtMs)} ago)`,
    ],
  ])
