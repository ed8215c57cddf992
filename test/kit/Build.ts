/** Processes that tests start run the built program: it is built again when a source is newer. */
import { statSync } from "node:fs"
import path from "node:path"
import { mainModule } from "../../src/domain/Installation.ts"
import { filesBelow } from "../check/Sources.ts"
import { root, run } from "../check/Step.ts"

/** It takes a second on a free core. */
const buildMs = 60_000

const changedAtMs = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

const isFresh = (): boolean =>
  [...filesBelow(root, "src", [".ts", ".js"]), "package.json", "bun.lockb"].every(
    (file) => changedAtMs(path.join(root, file)) <= changedAtMs(mainModule),
  )

export default async (): Promise<void> => {
  if (isFresh()) return
  const { passed, output } = await run(["npx", "--yes", "bun@1.4.4", "run", "--silent", "build"], {
    timeoutMs: buildMs,
  })
  if (!passed) throw new Error(`the program cannot be built\n${output}`)
}
