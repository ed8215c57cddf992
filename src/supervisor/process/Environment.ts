/** What children of a supervisor find in their environment. */
import { userInfo } from "node:os"

export type Variables = Readonly<Record<string, string>>

/**
 * Names of ours that children may see: who they are, and the mark by which the process driver recognises every
 * process of a sandbox.
 */
const visible: ReadonlySet<string> = new Set([
  "OPENSHELL_SANDBOX_ID",
  "OPENSHELL_SANDBOX",
  "HOLDFAST_SANDBOX_LOCK",
])

/** Names that steer the supervisor or carry its credentials: neither inherited by children nor set by users. */
export const isReserved = (name: string): boolean => /^(OPENSHELL|HOLDFAST)_/i.test(name)

/** A shell takes no other names, and a NUL ends a value early. */
export const isUsable = (name: string, value: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes("\0")

const withoutReserved = (variables: Variables): Variables =>
  Object.fromEntries(
    Object.entries(variables).filter(([name, value]) => !isReserved(name) && isUsable(name, value)),
  )

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/** The supervisor's own environment without its secrets, with the names that a login would set. */
export const inherited = (own: Readonly<Record<string, string | undefined>>, shell: string): Variables => {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && (!isReserved(name) || visible.has(name))) kept[name] = value
  }
  const user = currentUser()
  return {
    PATH: defaultPath,
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: shell,
    ...kept,
  }
}

/** A user id without a passwd entry is common in containers. */
const currentUser = (): { readonly name: string; readonly home: string } => {
  try {
    const { username, homedir } = userInfo()
    return { name: username, home: homedir }
  } catch {
    return { name: "sandbox", home: "/" }
  }
}

/**
 * The environment for one child. Later sources win: the machine's, the providers' credentials, the sandbox's
 * own settings, the caller's. Names of ours come only from the first.
 */
export const childEnvironment = (
  base: Variables,
  providers: Variables,
  sandbox: Variables,
  caller: Variables = {},
): Variables => ({
  ...base,
  ...withoutReserved(providers),
  ...withoutReserved(sandbox),
  ...withoutReserved(caller),
})
