/** What is typed on a terminal of the double. */
import { setTimeout as pause } from "node:timers/promises"
import { spawn } from "@lydell/node-pty"
import { expect, it } from "vitest"
import { inputOf } from "../kit/reference/PtyInput.ts"

it("stays alive while the program on a terminal reads nothing of what is typed", async () => {
  const pty = spawn("/bin/sh", ["-c", "exec sleep 100"], { name: "xterm", encoding: "latin1" })
  const exited = new Promise((resolve) => pty.onExit(resolve))
  const input = inputOf(pty)
  input.write(Buffer.alloc(1_000_000, "x"))
  await pause(1)
  expect(input.writableLength).toBeGreaterThan(0)
  pty.kill("SIGKILL")
  await exited
})
