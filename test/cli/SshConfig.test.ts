import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { installSshConfig, renderSshConfig } from "../../src/cli/SshConfigBlock.ts"
import { parseSshHost, sshHostOf } from "../../src/cli/SshNames.ts"

let home = ""
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "holdfast-home-"))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const block = renderSshConfig({
  launcher: "/opt/my tools/holdfast",
  flags: ["--gateway", "http://127.0.0.1:1"],
  gateway: "http://127.0.0.1:1",
  workspace: "default",
})
const config = (): string => readFileSync(join(home, ".ssh", "config"), "utf8")

describe("the ssh_config block", () => {
  it("turns host key checking off for sandboxes alone", () => {
    const hosts = [...block.matchAll(/^Host (.*)$/gm)].map((match) => match[1])
    expect(hosts).toEqual(["*.holdfast"])
    expect(block.indexOf("StrictHostKeyChecking no")).toBeGreaterThan(block.indexOf("Host "))
  })

  it("is understood by ssh, which calls the launcher with the host's name", () => {
    const file = join(home, "config")
    writeFileSync(file, block)
    const settings = execFileSync("ssh", ["-F", file, "-G", "demo.holdfast"], { encoding: "utf8" })
    expect(settings).toContain(
      "proxycommand '/opt/my tools/holdfast' --gateway http://127.0.0.1:1 ssh-proxy %n",
    )
    expect(settings).toMatch(/stricthostkeychecking (no|false)/)
    const other = execFileSync("ssh", ["-F", file, "-G", "example.com"], { encoding: "utf8" })
    expect(other).not.toContain("ssh-proxy")
  })

  it("names one sandbox when one was asked for", () => {
    const one = renderSshConfig({ launcher: "/h", flags: [], gateway: "g", workspace: "team", name: "demo" })
    expect(one).toContain("\nHost demo.team.holdfast\n")
  })
})

describe("installing it", () => {
  it("writes the block and includes it once, before everything else", async () => {
    mkdirSync(join(home, ".ssh"))
    writeFileSync(join(home, ".ssh", "config"), "Host example\n  User me\n")
    expect(await installSshConfig(home, block)).toMatchObject({ included: true })
    expect(await installSshConfig(home, block)).toMatchObject({ included: false })
    expect(config()).toBe("Include config.d/holdfast.conf\n\nHost example\n  User me\n")
    expect(readFileSync(join(home, ".ssh", "config.d", "holdfast.conf"), "utf8")).toBe(block)
    expect(statSync(join(home, ".ssh", "config.d", "holdfast.conf")).mode & 0o777).toBe(0o600)
  })

  it("makes ~/.ssh for nobody but its owner when there is none", async () => {
    await installSshConfig(home, block)
    expect(config()).toBe("Include config.d/holdfast.conf\n")
    expect(statSync(join(home, ".ssh")).mode & 0o777).toBe(0o700)
  })

  it("sees an Include of the whole folder, but not one that is inside of a Host", async () => {
    mkdirSync(join(home, ".ssh"))
    writeFileSync(join(home, ".ssh", "config"), "Include ~/.ssh/config.d/*\n")
    expect(await installSshConfig(home, block)).toMatchObject({ included: false })
    writeFileSync(join(home, ".ssh", "config"), "Host x\n  Include config.d/*\n")
    expect(await installSshConfig(home, block)).toMatchObject({ included: true })
  })

  it("keeps a configuration that is a link a link", async () => {
    mkdirSync(join(home, ".ssh"))
    mkdirSync(join(home, "dotfiles"))
    writeFileSync(join(home, "dotfiles", "ssh"), "Host x\n")
    symlinkSync(join(home, "dotfiles", "ssh"), join(home, ".ssh", "config"))
    await installSshConfig(home, block)
    expect(readFileSync(join(home, "dotfiles", "ssh"), "utf8")).toContain("Include")
  })
})

describe("host names", () => {
  it("carry the sandbox and, when it is not the default, the workspace", () => {
    expect(sshHostOf("demo", "default")).toBe("demo.holdfast")
    expect(parseSshHost("demo.holdfast", "default")).toEqual({ name: "demo", workspace: "default" })
    expect(parseSshHost(sshHostOf("demo", "team"), "default")).toEqual({ name: "demo", workspace: "team" })
    expect(parseSshHost("demo", "team")).toEqual({ name: "demo", workspace: "team" })
  })
})
