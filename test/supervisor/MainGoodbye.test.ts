import { spawn } from "node:child_process"
import { expect, it } from "vitest"
import { finish, sshArgs, startSsh, until } from "./SshHarness.ts"

it("a main process that ended counts as drained only when attached clients have answered: what follows cuts relays", async () => {
  const harness = await startSsh({ main: { command: ["sh", "-c", "read line; exit 3"], tty: false } })
  const { main } = harness
  if (main === undefined) throw new Error("no main process")
  const client = spawn("ssh", sshArgs(harness, ["-s", "openshell-main"]), { stdio: "pipe" })
  const finished = finish(client)
  await until("it is attached", () => main.owner !== undefined)
  let drained = false
  void main.drained.then(() => {
    drained = true
  })
  process.kill(client.pid ?? 0, "SIGSTOP")
  main.child.stdin.write("end\n")
  expect(await main.exited).toEqual({ code: 3 })
  // As long as its client cannot have heard of the end.
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(drained).toBe(false)
  process.kill(client.pid ?? 0, "SIGCONT")
  expect((await finished).code).toBe(3)
  await until("it is drained", () => drained)
})
