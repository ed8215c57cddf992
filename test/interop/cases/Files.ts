/** Trees of files there and back. */
import { createHash, randomBytes } from "node:crypto"
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { type Case, equal } from "./Case.ts"

const largeBytes = 4 * 1_048_576

const plant = (directory: string): void => {
  const files = {
    plain: "text",
    "with space": "a b",
    ".hidden": "dot",
    "-dash": "minus",
    "quote'\"": "quotes",
    "ümlaut-✓-字": "letters",
    "back\\slash": "back",
    dollar$HOME: "money",
    "new\nline": "lines",
    "deep/er/est/file": "below",
    empty: "",
  }
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  writeFileSync(path.join(directory, "large"), randomBytes(largeBytes))
  writeFileSync(path.join(directory, "program"), "#!/bin/sh\n", { mode: 0o755 })
  symlinkSync("plain", path.join(directory, "link"))
}

/** One line per file: its name, and what it is. */
const hashes = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .flatMap((name) => {
      const file = path.join(directory, name)
      const stat = lstatSync(file)
      if (stat.isDirectory()) return []
      if (stat.isSymbolicLink()) return [`${name} -> ${readlinkSync(file)}`]
      const hash = createHash("sha256").update(readFileSync(file)).digest("hex")
      return [`${name} ${hash} ${(stat.mode & 0o111) === 0 ? "data" : "program"}`]
    })
    .sort()

export const fileCases: ReadonlyArray<Case> = [
  {
    name: "upload and download a tree with odd names",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const from = path.join(use.stage.directory(), "tree")
      mkdirSync(from)
      plant(from)
      const there = use.stage.name("up")
      await use.cli(["sandbox", "upload", "--no-git-ignore", app.name, from, there], { of: app })
      const back = use.stage.directory()
      await use.cli(["sandbox", "download", app.name, `${there}/tree`, back], { of: app })
      const [only = ""] = readdirSync(back)
      const found = hashes(only === "tree" ? path.join(back, only) : back)
      equal(found, hashes(from), "names, hashes and modes")
    },
  },
  {
    name: "upload without what .gitignore names, and one file",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const from = path.join(use.stage.directory(), "tree")
      mkdirSync(path.join(from, "build"), { recursive: true })
      for (const [name, text] of Object.entries({ ".gitignore": "build\n", kept: "1", "build/left": "2" }))
        writeFileSync(path.join(from, name), text)
      const { mustRun } = await import("../Run.ts")
      await mustRun("git", ["init", "--quiet", from])
      const there = use.stage.name("up")
      await use.cli(["sandbox", "upload", app.name, from, there], { of: app })
      await use.cli(["sandbox", "upload", app.name, path.join(from, "kept"), `${there}/single`], { of: app })
      const command = ["sandbox", "exec", "-n", app.name, "--", "sh", "-c"]
      const listed = await use.text([...command, `cd ${there} && find . -type f | grep -v /.git/ | sort`], {
        of: app,
      })
      equal(listed, "./single/kept\n./tree/.gitignore\n./tree/kept\n", "what is there")
      const back = path.join(use.stage.directory(), "one")
      await use.cli(["sandbox", "download", app.name, `${there}/tree/kept`, back], { of: app })
      const file = lstatSync(back).isDirectory() ? path.join(back, "kept") : back
      equal(readFileSync(file, "utf8"), "1", "the single file")
    },
  },
]
