/** Makes the code of every wire from its definitions: `bun run generate`. One wire is one folder of `src/wire`. */
import path from "node:path"
import { type Outcome, root, run } from "./Step.ts"

export interface GeneratedWire {
  /** Below the top of the repository. */
  readonly folder: string
  /** What of `src/wire/proto` it is made from. */
  readonly paths: ReadonlyArray<string>
  /** It also gets a copy of what these import, so that it needs no other wire. */
  readonly withImports: boolean
}

export const generatedWires: ReadonlyArray<GeneratedWire> = [
  {
    folder: "src/wire/openshell-v1/gen",
    paths: [
      "openshell/v1",
      "openshell/datamodel",
      "openshell/inference",
      "openshell/options",
      "openshell/sandbox",
      "holdfast/v1/extension.proto",
    ],
    withImports: false,
  },
  { folder: "src/wire/holdfast-v1/gen", paths: ["holdfast/v1/admin.proto"], withImports: true },
  { folder: "src/wire/compute-v1/gen", paths: ["openshell/compute"], withImports: true },
]

const definitions = "src/wire/proto"

/** Lints the definitions and writes the code of all wires below `directory`. */
export const generate = async (directory: string, timeoutMs: number): Promise<Outcome> => {
  let outcome = await run(["buf", "lint", definitions], { timeoutMs })
  for (const { folder, paths, withImports } of generatedWires) {
    if (!outcome.passed) return outcome
    outcome = await run(
      [
        ..."buf generate".split(" "),
        definitions,
        ...["--template", `${definitions}/buf.gen.yaml`, "-o", path.join(directory, folder)],
        ...paths.flatMap((one) => ["--path", `${definitions}/${one}`]),
        ...(withImports ? ["--include-imports"] : []),
      ],
      { timeoutMs },
    )
  }
  return outcome
}

if (import.meta.main) {
  const { passed, output } = await generate(root, 120_000)
  process.stdout.write(output)
  process.exitCode = passed ? 0 : 1
}
