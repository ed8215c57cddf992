import { describe, expect, it } from "@effect/vitest"
import * as Files from "../../src/driver/SandboxFiles.ts"
import * as Environment from "../../src/driver/SupervisorEnvironment.ts"
import { sandbox } from "./Fixtures.ts"

describe("SupervisorEnvironment", () => {
  it("names an abstract socket where the path would be too long for one", () => {
    const short = Files.filesOf("/s", "a")
    expect(Environment.sshSocketPath("a", short)).toBe("/s/sandboxes/a/run/ssh.sock")
    const long = Files.filesOf(`/${"s".repeat(100)}`, "a")
    expect(Environment.sshSocketPath("a", long)).toBe("@holdfast-ssh-a")
  })

  it("runs a login shell with a terminal when the sandbox names no command", () => {
    expect(JSON.parse(Environment.mainProcessSpec(sandbox("a")))).toEqual({
      version: 1,
      command: ["/bin/bash", "-l"],
      tty: true,
    })
  })
})
