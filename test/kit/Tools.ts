/** Programs of the system that tests call: installed from Debian's packages where that is possible. */
import { execFile } from "node:child_process"
import { accessSync, constants, existsSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"

interface Package {
  readonly name: string
  /** Its installation would start a service. */
  readonly daemon?: boolean
}

const packages = {
  ssh: { name: "openssh-client" },
  scp: { name: "openssh-client" },
  "ssh-keygen": { name: "openssh-client" },
  sshd: { name: "openssh-server", daemon: true },
  rsync: { name: "rsync" },
  git: { name: "git" },
  tmux: { name: "tmux" },
  zsh: { name: "zsh" },
  fish: { name: "fish" },
  pgrep: { name: "procps" },
  python3: { name: "python3" },
} as const satisfies Readonly<Record<string, Package>>

export type Tool = keyof typeof packages

const installTimeoutMs = 300_000
const policyFile = "/usr/sbin/policy-rc.d"

/** Where a program is found; daemons live outside an ordinary user's path. */
const find = (tool: string): string | undefined =>
  [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"]
    .map((directory) => path.join(directory, tool))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

const apt = (...args: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve, reject) => {
    execFile(
      "apt-get",
      ["-o", "DPkg::Lock::Timeout=120", "-qq", ...args],
      { timeout: installTimeoutMs, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } },
      (error, stdout, stderr) => {
        if (error === null) resolve()
        else reject(new Error(`apt-get ${args.join(" ")} failed:\n${stdout}${stderr}`))
      },
    )
  })

/** Exit code 101 of this script tells package scripts to start nothing. */
const withoutDaemons = async (work: () => Promise<void>): Promise<void> => {
  if (existsSync(policyFile)) return work()
  writeFileSync(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755 })
  try {
    await work()
  } finally {
    rmSync(policyFile, { force: true })
  }
}

/**
 * Makes sure that these programs are there. As root on Debian, missing ones are installed; elsewhere it fails
 * with the names of the packages.
 */
export const requireTools = async (tools: ReadonlyArray<Tool>): Promise<void> => {
  const missing = tools.filter((tool) => find(tool) === undefined)
  if (missing.length === 0) return
  const wanted: ReadonlyArray<Package> = missing.map((tool) => packages[tool])
  const names = [...new Set(wanted.map(({ name }) => name))]
  if (process.getuid?.() !== 0 || find("apt-get") === undefined)
    throw new Error(
      `${missing.join(", ")} must be installed for the tests (Debian packages: ${names.join(", ")})`,
    )
  const install = async (): Promise<void> => {
    await apt("update")
    await apt("install", "--yes", "--no-install-recommends", ...names)
  }
  await (wanted.some(({ daemon }) => daemon === true) ? withoutDaemons(install) : install())
  const still = missing.filter((tool) => find(tool) === undefined)
  if (still.length > 0) throw new Error(`${names.join(", ")} did not bring ${still.join(", ")}`)
}
