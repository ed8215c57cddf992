/** What may change in the policy of a sandbox that runs: its network rules, and paths may be added. */
import type { FilesystemPolicy, SandboxPolicy } from "../domain/Policy.ts"
import { same } from "./Canonical.ts"

const filesystemRefusal = (
  before: FilesystemPolicy | undefined,
  after: FilesystemPolicy | undefined,
): string | undefined => {
  if (before === undefined) return undefined
  if (after === undefined) return "filesystem policy cannot be removed on a live sandbox"
  if ((before.includeWorkdir ?? false) !== (after.includeWorkdir ?? false))
    return "filesystem include_workdir cannot be changed on a live sandbox"
  for (const [field, name] of [
    ["readOnly", "read_only"],
    ["readWrite", "read_write"],
  ] as const) {
    const kept = new Set(after[field] ?? [])
    const gone = (before[field] ?? []).find((path) => !kept.has(path))
    if (gone !== undefined) return `filesystem ${name} path '${gone}' cannot be removed on a live sandbox`
  }
  return undefined
}

/** Wire contract 2.10: the user and group that processes run as unless the policy names others. */
const sandboxIdentity = "sandbox"

const identityOf = ({ process }: SandboxPolicy): readonly [user: string, group: string] => [
  process?.runAsUser || sandboxIdentity,
  process?.runAsGroup || sandboxIdentity,
]

const landlockOf = ({ landlock }: SandboxPolicy): string => landlock?.compatibility || "best_effort"

/** Why the sandbox cannot take the change while it runs; undefined when it can. `before`: what it was started with. */
export const liveChangeRefusal = (before: SandboxPolicy, after: SandboxPolicy): string | undefined => {
  if (landlockOf(before) !== landlockOf(after)) return "landlock policy cannot be changed on a live sandbox"
  if (!same(identityOf(before), identityOf(after)))
    return "process policy cannot be changed on a live sandbox"
  return filesystemRefusal(before.filesystem, after.filesystem)
}

/** Whether two policies differ in nothing that concerns the network. */
export const sameNetwork = (a: SandboxPolicy, b: SandboxPolicy): boolean =>
  same(a.networkPolicies ?? {}, b.networkPolicies ?? {}) &&
  same(a.networkMiddlewares ?? {}, b.networkMiddlewares ?? {})
