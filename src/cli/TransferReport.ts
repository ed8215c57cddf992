import type { Effect } from "effect"
import type { TransferResult } from "../client/Transfer.ts"
import type { Invocation } from "./Invocation.ts"
import { printOutcome, say } from "./Output.ts"
import { formatBytes } from "./text/Bytes.ts"
import { printable } from "./text/Table.ts"

/** What was copied where; `-o name` prints the target alone. */
export const reportTransfer = (
  invocation: Invocation,
  verb: "Uploaded" | "Downloaded",
  result: TransferResult,
): Effect.Effect<void> => {
  const files = result.files === 1 ? "1 file" : `${result.files} files`
  const skipped = result.skipped.length
  const left = skipped === 0 ? "" : `; left out ${skipped} sockets, pipes or devices`
  const told = say(`${verb} ${files} (${formatBytes(result.bytes)}) to ${printable(result.target)}${left}.`)
  return printOutcome(invocation, { json: result, name: result.target, told })
}
