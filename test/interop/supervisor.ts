/**
 * What the process driver of an interop cluster starts: the double for sandboxes whose name begins with `ref-`,
 * our own supervisor for all others.
 */
import { program } from "../kit/reference/program.ts"

if (process.env.OPENSHELL_SANDBOX?.startsWith("ref-") === true) await program()
else {
  process.argv.splice(2, 0, "supervisor")
  await import("../../src/main.ts")
}
