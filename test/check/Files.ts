/** What every file of the project keeps to. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { layerProblems } from "./Layers.ts"
import { filesBelow, looseTypes, readSources, type Source } from "./Sources.ts"

const lineLimit = 300

/** Longer than the limit for a reason. */
const longFiles: Readonly<Record<string, string>> = {
  "src/domain/Limits.ts": "all limits stand in one table",
}

/** Split, so that this file does not contain them. */
const forbidden: ReadonlyArray<readonly [pattern: RegExp, what: string]> = [
  [/@ts-(?:ignore|nocheck|expect-error)/, "switches the type-check off"],
  [/\b(?:TO[D]O|FIX[M]E)\b/, "leaves work for later; open an issue"],
]

export const lineProblems = (sources: ReadonlyArray<Source>): ReadonlyArray<string> =>
  sources.flatMap(({ file, text }) => {
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0)
    return lines > lineLimit && longFiles[file] === undefined
      ? [`${file}: ${lines} lines; ${lineLimit} is the limit. Split it by its reasons to change.`]
      : []
  })

export const textProblems = (sources: ReadonlyArray<Source>): ReadonlyArray<string> =>
  sources.flatMap(({ file, text }) =>
    text.split("\n").flatMap((line, index) =>
      forbidden.flatMap(([pattern, what]) => {
        const match = pattern.exec(line)
        return match === null ? [] : [`${file}:${index + 1}: ${match[0]} ${what}`]
      }),
    ),
  )

export const typeProblems = (sources: ReadonlyArray<Source>): ReadonlyArray<string> =>
  sources.flatMap((source) => looseTypes(source).map(({ line, what }) => `${source.file}:${line}: ${what}`))

const textEndings = [".ts", ".md", ".yaml", ".proto", ".json", ".sh", "Containerfile"]

const dependenciesOf = (root: string): ReadonlySet<string> => {
  const manifest: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(path.join(root, "package.json"), "utf8"),
  )
  return new Set(Object.keys(manifest.dependencies ?? {}))
}

export const fileProblems = (root: string): ReadonlyArray<string> => {
  const folders = ["src", "test", "k8s", "docs"]
  const all = readSources(
    root,
    folders.flatMap((folder) => filesBelow(root, folder, textEndings)),
  )
  const typescript = all.filter(({ file }) => file.endsWith(".ts"))
  const own = typescript.filter(({ file }) => file.startsWith("src/"))
  return [
    ...lineProblems(own),
    ...layerProblems(own, dependenciesOf(root)),
    ...typeProblems(typescript),
    ...textProblems(all),
  ]
}
