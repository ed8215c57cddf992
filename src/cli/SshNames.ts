/** Host names that ssh uses for sandboxes: `NAME.holdfast` and `NAME.WORKSPACE.holdfast`. No imports: hot path. */

const suffix = ".holdfast"

export const sshHostOf = (name: string, workspace: string): string =>
  workspace === "default" ? `${name}${suffix}` : `${name}.${workspace}${suffix}`

/** A host name, or a plain sandbox name, as name and workspace; names have no dots. */
export const parseSshHost = (
  host: string,
  workspace: string,
): { readonly name: string; readonly workspace: string } => {
  const bare = host.toLowerCase().endsWith(suffix) ? host.slice(0, -suffix.length) : host
  const dot = bare.indexOf(".")
  return dot === -1 ? { name: bare, workspace } : { name: bare.slice(0, dot), workspace: bare.slice(dot + 1) }
}
