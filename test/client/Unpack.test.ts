import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import fc from "fast-check"
import tar from "tar-stream"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { escapeForPrintf } from "../../src/client/transfer/RemoteScript.ts"
import { safeParts, unpackTree } from "../../src/client/transfer/Unpack.ts"

let root = ""
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "holdfast-unpack-"))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const unpack = async (fill: (pack: tar.Pack) => void, single = false) => {
  const pack = tar.pack()
  fill(pack)
  pack.finalize()
  return unpackTree(Readable.from(pack), join(root, "in"), { single })
}

describe("unpacking what a sandbox sends", () => {
  it.each(["../evil", "a/../../evil", "/evil", "a/..", ".."])("refuses the name %s", async (name) => {
    await expect(unpack((pack) => pack.entry({ name }, "x"))).rejects.toMatchObject({
      _tag: "TransferFailed",
      reason: "damaged",
    })
    expect(existsSync(join(root, "evil"))).toBe(false)
  })

  it("writes nothing through a link of the same archive", async () => {
    await unpack((pack) => {
      pack.entry({ name: ".", type: "directory" })
      pack.entry({ name: "out", type: "symlink", linkname: root })
      pack.entry({ name: "out/file", type: "file" }, "escaped")
    }).catch(() => undefined)
    expect(existsSync(join(root, "file"))).toBe(false)
  })

  it("refuses a hard link to a file outside", async () => {
    await expect(
      unpack((pack) => {
        pack.entry({ name: ".", type: "directory" })
        pack.entry({ name: "passwd", type: "link", linkname: "../../../../../../etc/passwd" })
      }),
    ).rejects.toMatchObject({ reason: "damaged" })
  })

  it("refuses to write a file twice", async () => {
    await expect(
      unpack((pack) => {
        pack.entry({ name: ".", type: "directory" })
        pack.entry({ name: "f" }, "1")
        pack.entry({ name: "f" }, "2")
      }),
    ).rejects.toMatchObject({ _tag: "TransferFailed" })
  })

  it("drops set-id bits and leaves out devices", async () => {
    const { skipped } = await unpack((pack) => {
      pack.entry({ name: ".", type: "directory" })
      pack.entry({ name: "tool", mode: 0o4755 }, "x")
      pack.entry({ name: "null", type: "character-device" })
    })
    expect(readdirSync(join(root, "in"))).toEqual(["tool"])
    expect(skipped).toEqual(["null"])
  })

  it("writes a single file under the name chosen here, whatever it is called there", async () => {
    await unpack((pack) => pack.entry({ name: "../../name" }, "content"), true)
    expect(readFileSync(join(root, "in"), "utf8")).toBe("content")
  })

  it("never yields a part that leads upwards", () => {
    const part = fc.constantFrom("..", ".", "", "a", "b c", "...", "é")
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const result = safeParts(Buffer.from(parts.join("/")))
        if (result === undefined) return parts.includes("..") || parts.join("/").startsWith("/")
        return result.every((name) => !["..", ".", ""].includes(name.toString()))
      }),
    )
  })
})

describe("escaping for printf", () => {
  it("survives bash for any text", () => {
    const texts = fc.sample(
      fc.string({ unit: "binary", maxLength: 40 }).filter((text) => !text.includes("\0")),
      60,
    )
    const script = 'for a; do d=$(printf %b. "$a"); printf "%s\\0" "${d%.}"; done'
    const output = execFileSync("bash", ["-c", script, "bash", ...texts.map(escapeForPrintf)])
    expect(output.toString("utf8").split("\0").slice(0, -1)).toEqual(
      texts.map((text) => Buffer.from(text).toString("utf8")),
    )
  })
})
