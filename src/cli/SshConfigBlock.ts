/** The ssh_config text that routes `*.holdfast` through `holdfast ssh-proxy`, and where it is kept. */
import { chmod, mkdir, readFile, realpath, rename, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { sshHostOf } from "./SshNames.ts"

export interface SshConfigOptions {
  /** Absolute path of the `holdfast` launcher. */
  readonly launcher: string
  /** Global flags that ssh-proxy needs to reach the same gateway, such as `--gateway URL`. */
  readonly flags: ReadonlyArray<string>
  readonly gateway: string
  readonly workspace: string
  /** One sandbox; all of them when absent. */
  readonly name?: string | undefined
}

/** One word of a command that ssh hands to the user's shell; ssh itself expands percent signs first. */
const shellWord = (text: string): string => {
  const escaped = text.replaceAll("%", "%%")
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(escaped) ? escaped : `'${escaped.replaceAll("'", "'\\''")}'`
}

export const renderSshConfig = (options: SshConfigOptions): string => {
  const { name, workspace } = options
  const hosts = name === undefined ? "*.holdfast" : sshHostOf(name, workspace)
  const proxy = [options.launcher, ...options.flags, "ssh-proxy"].map(shellWord).join(" ")
  return `# Sandboxes behind ${options.gateway}, as NAME.holdfast or NAME.WORKSPACE.holdfast.
# Host keys: a sandbox makes a new one at every start, and the gateway has already authenticated both sides of
# this connection, so a stored key could only ever be wrong. Checking is off for these hosts alone.
Host ${hosts}
  User sandbox
  ProxyCommand ${proxy} %n
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
  ServerAliveInterval 15
  ServerAliveCountMax 3
`
}

/** Relative to ~/.ssh, as ssh reads an Include of the user's configuration. */
const includedFile = "config.d/holdfast.conf"
const includeLine = `Include ${includedFile}`

export interface InstalledSshConfig {
  readonly file: string
  readonly config: string
  /** Whether the Include had to be added. */
  readonly included: boolean
}

/**
 * Writes the block beside ~/.ssh/config and includes it from there, once. The Include goes first: after a Host
 * line it would hold for that host only. A config that is a symlink stays one.
 */
export const installSshConfig = async (home: string, block: string): Promise<InstalledSshConfig> => {
  const folder = join(home, ".ssh")
  const file = join(folder, includedFile)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await replaceFile(file, block)
  const named = join(folder, "config")
  const config = await realpath(named).catch(() => named)
  const current = await readFile(config, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return ""
    throw cause
  })
  const included = !includes(current)
  if (included) await replaceFile(config, `${includeLine}\n${current === "" ? "" : `\n${current}`}`)
  return { file, config: named, included }
}

/** Whether an Include that holds for every host is there already. */
const includes = (config: string): boolean => {
  for (const line of config.split("\n")) {
    const words = line.trim().split(/[\s=]+/)
    const keyword = words[0]?.toLowerCase()
    if (keyword === "host" || keyword === "match") return false
    if (keyword !== "include") continue
    const patterns = words.slice(1).map((word) => word.replaceAll('"', ""))
    if (
      patterns.some((pattern) =>
        [includedFile, "config.d/*", "config.d/*.conf"].includes(pattern.replace(/^~\/\.ssh\//, "")),
      )
    ) {
      return true
    }
  }
  return false
}

/** Never half-written: ssh may read it at the same time. */
const replaceFile = async (file: string, content: string): Promise<void> => {
  const temporary = `${file}.holdfast-${process.pid}`
  await writeFile(temporary, content, { mode: 0o600 })
  await chmod(temporary, 0o600)
  await rename(temporary, file)
}
