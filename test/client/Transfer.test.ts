import {
  chmodSync,
  existsSync,
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
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { download, upload } from "../../src/client/Transfer.ts"
import { eventually } from "../kit/Until.ts"
import { type Pair, startPair } from "./Fixtures.ts"
import type { DoubleSandbox } from "./GatewayDouble.ts"

const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-transfer-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

interface Stage extends Pair {
  readonly local: string
  readonly sandbox: DoubleSandbox
}

const stage: Effect.Effect<Stage, never, Scope.Scope> = Effect.gen(function* () {
  const pair = yield* startPair
  return { ...pair, local: yield* temporary, sandbox: pair.double.add("demo") }
})

/** Everything below a path that a copy has to keep, as comparable text. */
const describeTree = (root: string): ReadonlyArray<string> => {
  const visit = (path: string, name: string): ReadonlyArray<string> => {
    const stats = lstatSync(path)
    const mode = (stats.mode & 0o777).toString(8)
    if (stats.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`]
    if (!stats.isDirectory()) {
      return [`${name} ${mode} ${Math.floor(stats.mtimeMs / 1_000)} ${readFileSync(path).toString("base64")}`]
    }
    const children = readdirSync(path).toSorted()
    return [`${name}/ ${mode}`, ...children.flatMap((child) => visit(join(path, child), `${name}/${child}`))]
  }
  return visit(root, "")
}

/** Names and contents that have broken copying tools before. */
const oddTree = (root: string): void => {
  mkdirSync(join(root, "-rf", "deep", "er"), { recursive: true })
  mkdirSync(join(root, "empty"))
  writeFileSync(join(root, "-rf", "a b'\"$(echo x)`y`\\ü→"), "odd")
  writeFileSync(join(root, "line\nbreak"), "newline in its name")
  writeFileSync(join(root, ".hidden"), "")
  writeFileSync(join(root, `${"long".repeat(60)}.txt`), Buffer.alloc(100_001, 7))
  writeFileSync(join(root, "script.sh"), "#!/bin/sh\n")
  chmodSync(join(root, "script.sh"), 0o755)
  writeFileSync(join(root, "readonly"), "x")
  chmodSync(join(root, "readonly"), 0o440)
  symlinkSync("../nowhere at all", join(root, "-rf", "dangling"))
  symlinkSync("empty", join(root, "to-directory"))
  utimesSync(join(root, "readonly"), 1_000_000_000, 1_000_000_000)
  chmodSync(join(root, "empty"), 0o700)
}

describe("upload", () => {
  it.scopedLive("copies a directory with odd names, modes, times, links and empty directories", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const source = join(local, "my tree")
      mkdirSync(source)
      oddTree(source)
      const result = yield* upload(client, { sandboxId: sandbox.id, local: source, remote: "" })
      expect(result.target).toBe(join(sandbox.home, "my tree"))
      expect(result.files).toBe(6)
      expect(describeTree(join(sandbox.home, "my tree"))).toEqual(describeTree(source))
      expect(readdirSync(sandbox.home)).toEqual(["my tree"])
    }),
  )

  it.scopedLive("puts a file into a directory, under a new name, or into a directory that it makes", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const file = join(local, "f.txt")
      writeFileSync(file, "content")
      mkdirSync(join(sandbox.home, "there"))
      const to = (remote: string) =>
        Effect.map(upload(client, { sandboxId: sandbox.id, local: file, remote }), ({ target }) => target)
      expect(yield* to("there")).toBe(join(sandbox.home, "there", "f.txt"))
      expect(yield* to("new name\n")).toBe(join(sandbox.home, "new name\n"))
      expect(yield* to("made/for/it/")).toBe(join(sandbox.home, "made/for/it/f.txt"))
      expect(yield* to("~/tilde")).toBe(join(sandbox.home, "tilde"))
      expect(readFileSync(join(sandbox.home, "new name\n"), "utf8")).toBe("content")
    }),
  )

  it.scopedLive("merges a directory into an existing one and replaces its files", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const source = join(local, "tree")
      mkdirSync(join(source, "sub"), { recursive: true })
      writeFileSync(join(source, "sub", "new"), "new")
      writeFileSync(join(source, "both"), "theirs becomes mine")
      mkdirSync(join(sandbox.home, "tree", "sub"), { recursive: true })
      writeFileSync(join(sandbox.home, "tree", "sub", "kept"), "kept")
      writeFileSync(join(sandbox.home, "tree", "both"), "theirs")
      yield* upload(client, { sandboxId: sandbox.id, local: source, remote: "" })
      expect(readdirSync(join(sandbox.home, "tree", "sub")).toSorted()).toEqual(["kept", "new"])
      expect(readFileSync(join(sandbox.home, "tree", "both"), "utf8")).toBe("theirs becomes mine")
    }),
  )

  it.scopedLive("changes nothing when a name is in the way of another kind", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const source = join(local, "tree")
      mkdirSync(join(source, "z"), { recursive: true })
      writeFileSync(join(source, "a"), "a")
      mkdirSync(join(sandbox.home, "tree"))
      writeFileSync(join(sandbox.home, "tree", "z"), "a file")
      const error = yield* Effect.flip(upload(client, { sandboxId: sandbox.id, local: source, remote: "" }))
      expect(error).toMatchObject({ _tag: "TransferFailed", reason: "conflict" })
      expect(readdirSync(sandbox.home)).toEqual(["tree"])
      expect(readdirSync(join(sandbox.home, "tree"))).toEqual(["z"])
    }),
  )

  it.scopedLive("leaves neither the target nor a remainder when it is interrupted", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const file = join(local, "big")
      writeFileSync(file, Buffer.alloc(64 * 1_048_576, 1))
      let sent = 0
      const running = yield* Effect.fork(
        upload(client, {
          sandboxId: sandbox.id,
          local: file,
          remote: "",
          onBytes: (bytes) => (sent = bytes),
        }),
      )
      yield* Effect.promise(() => eventually("some bytes", () => sent > 1_000_000))
      yield* Fiber.interrupt(running)
      expect(existsSync(join(sandbox.home, "big"))).toBe(false)
    }),
  )

  it.scopedLive("fails for a path that is not there, and for a target that cannot be written", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const missing = yield* Effect.flip(
        upload(client, { sandboxId: sandbox.id, local: join(local, "nope"), remote: "" }),
      )
      expect(missing).toMatchObject({ _tag: "TransferFailed", reason: "missing" })
      writeFileSync(join(local, "f"), "x")
      const refused = yield* Effect.flip(
        upload(client, { sandboxId: sandbox.id, local: join(local, "f"), remote: "/proc/nowhere/f" }),
      )
      expect(refused).toMatchObject({ _tag: "TransferFailed", reason: "unwritable" })
    }),
  )

  it.scopedLive("honours .gitignore files only when asked to", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const source = join(local, "project")
      mkdirSync(join(source, "sub", "build"), { recursive: true })
      writeFileSync(join(source, ".gitignore"), "*.log\nbuild/\n!keep.log\n")
      writeFileSync(join(source, "sub", ".gitignore"), "local\n")
      for (const name of ["a.log", "keep.log", "sub/local", "sub/build/out", "sub/b.log", "sub/c"]) {
        writeFileSync(join(source, name), name)
      }
      yield* upload(client, { sandboxId: sandbox.id, local: source, remote: "all" })
      expect(readdirSync(join(sandbox.home, "all", "sub")).toSorted()).toEqual([
        ".gitignore",
        "b.log",
        "build",
        "c",
        "local",
      ])
      yield* upload(client, { sandboxId: sandbox.id, local: source, remote: "some", gitIgnore: true })
      expect(readdirSync(join(sandbox.home, "some")).toSorted()).toEqual([".gitignore", "keep.log", "sub"])
      expect(readdirSync(join(sandbox.home, "some", "sub")).toSorted()).toEqual([".gitignore", "c"])
    }),
  )
})

describe("download", () => {
  it.scopedLive("copies a directory with odd names, modes, times, links and empty directories", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const source = join(sandbox.home, "their tree")
      mkdirSync(source)
      oddTree(source)
      let total = 0
      const result = yield* download(client, {
        sandboxId: sandbox.id,
        remote: "their tree/",
        local,
        onStart: (bytes) => {
          total = bytes
        },
      })
      expect(result.target).toBe(join(local, "their tree"))
      expect(result.files).toBe(6)
      expect(total).toBeGreaterThan(100_000)
      expect(describeTree(join(local, "their tree"))).toEqual(describeTree(source))
      expect(readdirSync(local)).toEqual(["their tree"])
    }),
  )

  it.scopedLive("keeps names that are not UTF-8", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      mkdirSync(join(sandbox.home, "t"))
      const name = Buffer.from([0x66, 0xff, 0xfe])
      writeFileSync(Buffer.concat([Buffer.from(`${join(sandbox.home, "t")}/`), name]), "bytes")
      yield* download(client, { sandboxId: sandbox.id, remote: "t", local })
      expect(readdirSync(join(local, "t"), { encoding: "buffer" })).toEqual([name])
    }),
  )

  it.scopedLive(
    "puts a file under a new name, follows a link that was named, and replaces what is there",
    () =>
      Effect.gen(function* () {
        const { client, sandbox, local } = yield* stage
        writeFileSync(join(sandbox.home, "-f"), "content")
        symlinkSync("-f", join(sandbox.home, "link"))
        writeFileSync(join(local, "new"), "old")
        const get = (remote: string, to: string) =>
          download(client, { sandboxId: sandbox.id, remote, local: join(local, to) })
        yield* get("-f", "new")
        expect(readFileSync(join(local, "new"), "utf8")).toBe("content")
        expect((yield* get("link", "made/")).target).toBe(join(local, "made", "link"))
        expect(lstatSync(join(local, "made", "link")).isFile()).toBe(true)
        expect((yield* get(`${sandbox.home}/-f`, "abs")).bytes).toBe(7)
      }),
  )

  it.scopedLive("fails for a path that is not there and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const error = yield* Effect.flip(download(client, { sandboxId: sandbox.id, remote: "nope", local }))
      expect(error).toMatchObject({
        _tag: "TransferFailed",
        reason: "missing",
        message: "nope: no such file or directory",
      })
      expect(readdirSync(local)).toEqual([])
    }),
  )

  it.scopedLive("changes nothing when a name is in the way of another kind", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      mkdirSync(join(sandbox.home, "tree", "z"), { recursive: true })
      writeFileSync(join(sandbox.home, "tree", "a"), "a")
      mkdirSync(join(local, "tree"))
      writeFileSync(join(local, "tree", "z"), "a file")
      const error = yield* Effect.flip(download(client, { sandboxId: sandbox.id, remote: "tree", local }))
      expect(error).toMatchObject({ _tag: "TransferFailed", reason: "conflict" })
      expect(readdirSync(local)).toEqual(["tree"])
      expect(readdirSync(join(local, "tree"))).toEqual(["z"])
    }),
  )

  it.scopedLive("copies a file of 32 MiB", () =>
    Effect.gen(function* () {
      const { client, sandbox, local } = yield* stage
      const content = Buffer.alloc(32 * 1_048_576, "holdfast")
      writeFileSync(join(sandbox.home, "big"), content)
      yield* download(client, { sandboxId: sandbox.id, remote: "big", local })
      expect(readFileSync(join(local, "big")).equals(content)).toBe(true)
      expect(statSync(join(local, "big")).size).toBe(content.length)
    }),
  )
})
