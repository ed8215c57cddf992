/**
 * What of a policy this supervisor puts into force: nothing but the user that it runs as anyway. It says so instead
 * of reporting as loaded what nobody holds the sandbox to.
 */
import type { SandboxPolicy } from "../../domain/Policy.ts"

const isEmpty = (map: object | undefined): boolean => map === undefined || Object.keys(map).length === 0

const asksForPaths = ({ filesystem }: SandboxPolicy): boolean =>
  (filesystem?.readOnly ?? []).length > 0 || (filesystem?.readWrite ?? []).length > 0

/** Why the policy cannot be reported as loaded; undefined when it asks for nothing that is not so. */
export const unenforced = (policy: SandboxPolicy, ownUser: string): string | undefined => {
  const { runAsUser = "", runAsGroup = "" } = policy.process ?? {}
  const asked = [
    ...(asksForPaths(policy) ? ["filesystem paths"] : []),
    ...(policy.landlock === undefined ? [] : ["landlock"]),
    ...(runAsUser === "" || runAsUser === ownUser ? [] : [`running as user '${runAsUser}'`]),
    ...(runAsGroup === "" ? [] : [`running as group '${runAsGroup}'`]),
    ...(isEmpty(policy.networkPolicies) ? [] : ["network rules"]),
    ...(isEmpty(policy.networkMiddlewares) ? [] : ["network middlewares"]),
  ]
  return asked.length === 0 ? undefined : `this supervisor does not enforce: ${asked.join(", ")}`
}
