import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, it } from "vitest"
import { checks, DriverUnderTest } from "../../interop/compute/Conformance.ts"
import { DriverProcess } from "../../kit/compute/DriverProcess.ts"

let directory = ""
let program: DriverProcess
let driver: DriverUnderTest
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-compute-"))
  const socketPath = join(directory, "driver.sock")
  // Nobody listens there: what is checked is the driver, not what its supervisors reach.
  program = new DriverProcess({ socketPath, stateDir: directory, endpoint: "http://127.0.0.1:9" })
  await program.start()
  driver = await DriverUnderTest.open({ socketPath, timeoutMs: 20_000 })
})
afterAll(async () => {
  driver?.close()
  await program?.kill()
  rmSync(directory, { recursive: true, force: true })
})

describe("a compute driver", () => {
  it.each(checks)("$title", ({ run }) => run(driver))
})
