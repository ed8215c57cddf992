/** Whether the committed code of the wire is what its definitions give now. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { generate, generatedWires } from "./Generate.ts"
import { type Outcome, problems, root } from "./Step.ts"

const filesOf = (directory: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) => {
      if (!entry.isFile()) return []
      const file = path.join(entry.parentPath, entry.name)
      return [[path.relative(directory, file), readFileSync(file, "utf8")] as const]
    }),
  )

/** One line for each file that is not the same on both sides. */
export const differences = (
  committed: ReadonlyMap<string, string>,
  fresh: ReadonlyMap<string, string>,
  where: string,
): ReadonlyArray<string> => [
  ...[...fresh].flatMap(([file, text]) => {
    if (!committed.has(file)) return [`${where}/${file} is missing`]
    return committed.get(file) === text ? [] : [`${where}/${file} is out of date`]
  }),
  ...[...committed.keys()].flatMap((file) =>
    fresh.has(file) ? [] : [`${where}/${file} belongs to nothing`],
  ),
]

export const wireIsFresh = async (timeoutMs: number): Promise<Outcome> => {
  const directory = mkdtempSync(path.join(tmpdir(), "holdfast-generated-"))
  try {
    const made = await generate(directory, timeoutMs)
    if (!made.passed) return made
    const found = generatedWires.flatMap(({ folder }) =>
      differences(filesOf(path.join(root, folder)), filesOf(path.join(directory, folder)), folder),
    )
    return problems(found.length === 0 ? [] : [...found, "Run `bun run generate` and commit the result."])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
