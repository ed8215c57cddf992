import { createHash, randomBytes } from "node:crypto"
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { copyArgs, run, type SshHarness, startSsh } from "./SshHarness.ts"

let sandbox: SshHarness
const local = mkdtempSync(join(tmpdir(), "holdfast-sftp-test-"))

beforeAll(async () => {
  sandbox = await startSsh()
})
afterAll(() => rmSync(local, { recursive: true, force: true }))

const remote = (path: string): string => `sandbox@127.0.0.1:${path}`
const scp = (args: ReadonlyArray<string>) => run("scp", copyArgs(sandbox, ["-q", ...args]))
const sftp = (script: string) => run("sftp", copyArgs(sandbox, ["-q", "-b-", "sandbox@127.0.0.1"]), script)
const sha = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex")

describe("scp", () => {
  it("copies a big file there and back without a changed byte", async () => {
    const file = join(local, "big")
    writeFileSync(file, randomBytes(48 * 1_048_576))
    expect((await scp([file, remote("big")])).code).toBe(0)
    expect(sha(join(sandbox.workdir, "big"))).toBe(sha(file))
    expect((await scp([remote("big"), join(local, "back")])).code).toBe(0)
    expect(sha(join(local, "back"))).toBe(sha(file))
  })

  it("copies a directory tree with odd names, empty files and permissions, both ways", async () => {
    const tree = join(local, "tree")
    mkdirSync(join(tree, "inner dir", "deeper"), { recursive: true })
    const names = ["a b", "ünïcode", "new\nline", "'quote\"", "-dash", "*star", "back\\slash", "$HOME"]
    for (const name of names) writeFileSync(join(tree, "inner dir", name), name)
    writeFileSync(join(tree, "empty"), "")
    writeFileSync(join(tree, "inner dir", "deeper", "script.sh"), "#!/bin/sh\n", { mode: 0o755 })
    utimesSync(join(tree, "empty"), 1_000_000_000, 1_000_000_000)

    const up = await scp(["-rp", tree, remote("tree")])
    expect([up.code, up.stderr]).toEqual([0, ""])
    const down = await scp(["-rp", remote("tree"), join(local, "tree2")])
    expect([down.code, down.stderr]).toEqual([0, ""])

    const copy = join(local, "tree2")
    expect(readdirSync(join(copy, "inner dir")).sort()).toEqual([...names, "deeper"].sort())
    for (const name of names) expect(readFileSync(join(copy, "inner dir", name), "utf8")).toBe(name)
    expect(statSync(join(copy, "inner dir", "deeper", "script.sh")).mode & 0o777).toBe(0o755)
    expect(statSync(join(copy, "empty")).mtimeMs).toBe(1_000_000_000_000)
  })

  it("copies names that are not text", async () => {
    const name = Buffer.from([0x66, 0xff, 0xfe, 0x6f])
    const directory = Buffer.from(join(sandbox.workdir, "bytes"))
    mkdirSync(directory)
    writeFileSync(Buffer.concat([directory, Buffer.from("/"), name]), "raw")
    expect((await scp(["-r", remote("bytes"), join(local, "bytes")])).code).toBe(0)
    expect(readdirSync(join(local, "bytes"), { encoding: "buffer" })).toEqual([name])
  })

  it("works in the old protocol as well", async () => {
    writeFileSync(join(local, "old"), "by rcp")
    expect((await scp(["-O", join(local, "old"), remote("old")])).code).toBe(0)
    expect(readFileSync(join(sandbox.workdir, "old"), "utf8")).toBe("by rcp")
  })

  it("says that a file does not exist", async () => {
    const { code, stderr } = await scp([remote("nothing"), local])
    expect(code).not.toBe(0)
    expect(stderr).toContain("No such file or directory")
  })
})

describe("sftp", () => {
  it("makes, lists, renames, links and removes", async () => {
    writeFileSync(join(local, "one"), "1")
    const { code, stdout, stderr } = await sftp(
      [
        `lcd ${local}`,
        "pwd",
        "mkdir box",
        `put ${join(local, "one")} box/one`,
        "rename box/one box/two",
        "symlink two box/link",
        "ln box/two box/hard",
        "chmod 640 box/two",
        "ls -l box",
        "df -h box",
        "rm box/hard",
        "get box/link",
        "mkdir box/sub",
        "rmdir box/sub",
      ].join("\n"),
    )
    expect([code, stderr]).toEqual([0, ""])
    const text = stdout.toString()
    expect(text).toContain(`Remote working directory: ${sandbox.workdir}`)
    expect(text).toMatch(/-rw-r-----\s+.* two$/m)
    expect(text).toMatch(/lrwxrwxrwx\s+.* link$/m)
    expect(readdirSync(join(sandbox.workdir, "box")).sort()).toEqual(["link", "two"])
    expect(readlinkSync(join(sandbox.workdir, "box", "link"))).toBe("two")
  })

  it("replaces an existing file by rename, as OpenSSH's extension does", async () => {
    writeFileSync(join(sandbox.workdir, "old-name"), "new content")
    writeFileSync(join(sandbox.workdir, "new-name"), "old content")
    expect((await sftp("rename old-name new-name")).code).toBe(0)
    expect(readFileSync(join(sandbox.workdir, "new-name"), "utf8")).toBe("new content")
    expect((await sftp("rename -l old-name new-name")).code).not.toBe(0)
  })

  it("resumes a broken upload and a broken download", async () => {
    const bytes = randomBytes(3 * 1_048_576)
    writeFileSync(join(local, "whole"), bytes)
    writeFileSync(join(sandbox.workdir, "part"), bytes.subarray(0, 1_000_000))
    expect((await sftp(`reput ${join(local, "whole")} part`)).code).toBe(0)
    expect(sha(join(sandbox.workdir, "part"))).toBe(sha(join(local, "whole")))
    writeFileSync(join(local, "half"), bytes.subarray(0, 2_000_000))
    expect((await sftp(`reget part ${join(local, "half")}`)).code).toBe(0)
    expect(sha(join(local, "half"))).toBe(sha(join(local, "whole")))
  })

  it("lists a directory of thousands of files", async () => {
    const many = join(sandbox.workdir, "many")
    mkdirSync(many)
    for (let index = 0; index < 3_000; index += 1) writeFileSync(join(many, `f${index}`), "")
    const { stdout } = await sftp("ls -1 many")
    expect(
      stdout
        .toString()
        .split("\n")
        .filter((line) => line.startsWith("many/")).length,
    ).toBe(3_000)
  })

  it("keeps the attributes of a link apart from those of its target", async () => {
    writeFileSync(join(sandbox.workdir, "target"), "12345")
    symlinkSync("target", join(sandbox.workdir, "pointer"))
    expect((await sftp(`get pointer ${join(local, "pointer")}`)).code).toBe(0)
    expect(lstatSync(join(local, "pointer")).isSymbolicLink()).toBe(false)
    expect(readFileSync(join(local, "pointer"), "utf8")).toBe("12345")
  })

  it("refuses to hang on a named pipe that nobody writes", async () => {
    await run("mkfifo", [join(sandbox.workdir, "fifo")])
    const { code } = await sftp(`get fifo ${join(local, "fifo")}`)
    expect(code).not.toBe(0)
  })

  it("says when it refuses", async () => {
    mkdirSync(join(sandbox.workdir, "full"))
    writeFileSync(join(sandbox.workdir, "full", "x"), "")
    expect((await sftp("rmdir full")).stderr).toContain("Failure")
    expect((await sftp("ls nothing")).stderr).toContain("not found")
  })
})
