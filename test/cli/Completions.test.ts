import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { buildProgram } from "../../src/cli/Cli.ts"
import { bashCompletion } from "../../src/cli/completion/Bash.ts"
import { fishCompletion } from "../../src/cli/completion/Fish.ts"
import { allCommands, outlineOf } from "../../src/cli/completion/Outline.ts"
import { zshCompletion } from "../../src/cli/completion/Zsh.ts"

const nothing = async () => Effect.succeed(0)
const outline = outlineOf(
  buildProgram({ runGateway: nothing, runSupervisor: nothing, runUp: nothing, runDrill: nothing }),
)
const folder = mkdtempSync(join(tmpdir(), "holdfast-completions-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const scripts = { bash: bashCompletion(outline), zsh: zshCompletion(outline), fish: fishCompletion(outline) }
const has = (shell: string): boolean => spawnSync(shell, ["-c", "exit 0"]).status === 0
const fileOf = (shell: keyof typeof scripts): string => {
  const file = join(folder, `holdfast.${shell}`)
  writeFileSync(file, scripts[shell])
  return file
}

/** A `holdfast` that only knows names. */
const stub = (): string => {
  const answers = "case \"$*\" in '__names provider') echo model;; __names) printf 'demo\\nother\\n';; esac"
  writeFileSync(join(folder, "holdfast"), `#!/bin/sh\n${answers}\n`, { mode: 0o755 })
  return `${folder}:${process.env.PATH}`
}

describe("completions", () => {
  it.each(["bash", "zsh", "fish"] as const)("for %s contain every command", (shell) => {
    for (const { path, name } of allCommands(outline)) {
      expect(scripts[shell], path).toContain(name)
    }
    expect(scripts[shell]).not.toContain("__names)\n") // hidden commands are not offered
  })

  it("for bash are accepted by its parser", () => {
    execFileSync("bash", ["-n", fileOf("bash")])
  })

  it.skipIf(!has("zsh"))("for zsh are accepted by its parser", () => {
    execFileSync("zsh", ["-n", fileOf("zsh")])
  })

  it.skipIf(!has("fish"))("for fish are accepted by its parser", () => {
    execFileSync("fish", ["--no-execute", fileOf("fish")])
  })

  const bashWords = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`
    const output = execFileSync("bash", ["-c", script, "bash", fileOf("bash"), ...words], {
      env: { PATH: stub() },
      encoding: "utf8",
      // A bash whose stdin is a socket takes itself for a remote shell and reads ~/.bashrc.
      stdio: ["ignore", "pipe", "pipe"],
    })
    return output.split("\n").filter((line) => line !== "")
  }

  it.each([
    [["holdfast", "sand"], ["sandbox"]],
    [
      ["holdfast", "sandbox", "st"],
      ["stop", "start"],
    ],
    [["holdfast", "sb", "exe"], ["exec"]],
    [["holdfast", "sandbox", "get", "d"], ["demo"]],
    [["holdfast", "provider", "get", "m"], ["model"]],
    [["holdfast", "sandbox", "provider", "attach", "d"], ["demo"]],
    [
      ["holdfast", "-o", ""],
      ["table", "wide", "json", "name"],
    ],
    [["holdfast", "sandbox", "list", "--sel"], ["--selector"]],
    [["holdfast", "sandbox", "list", "--gate"], ["--gateway"]],
    [["holdfast", "completions", "z"], ["zsh"]],
    [["holdfast", "sandbox", "exec", "demo", "--", "l"], []],
  ])("in bash complete %j to %j", (words, expected) => {
    expect(bashWords(...words)).toEqual(expected)
  })

  it.skipIf(!has("fish"))("in fish complete commands, options and names", () => {
    const complete = (line: string): ReadonlyArray<string> =>
      execFileSync("fish", ["--no-config", "-c", `source ${fileOf("fish")}; complete -C '${line}'`], {
        env: { PATH: stub(), HOME: folder },
        encoding: "utf8",
      })
        .split("\n")
        .map((text) => text.split("\t")[0] ?? "")
        .filter((text) => text !== "")
    expect(complete("holdfast sandbox st")).toEqual(expect.arrayContaining(["start", "stop"]))
    expect(complete("holdfast sandbox get d")).toContain("demo")
    expect(complete("holdfast sandbox list --sel")).toEqual(["--selector"])
    expect(complete("holdfast sandbox list -o j")).toEqual(["json"])
  })
})
