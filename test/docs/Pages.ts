/** The pages of docs/reference: what the code says of itself. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { differences } from "../check/Generated.ts"
import { root } from "../check/Step.ts"
import { commandLinePage } from "./CommandLine.ts"
import { compatibilityPage } from "./Compatibility.ts"
import { methodsPage } from "./Methods.ts"
import { errorsPage, limitsPage, metricsPage, settingsPage } from "./Tables.ts"

const folder = "docs/reference"

const pages = async (): Promise<ReadonlyMap<string, string>> =>
  new Map([
    ["cli.md", commandLinePage()],
    ["compatibility.md", compatibilityPage()],
    ["errors.md", errorsPage()],
    ["limits.md", limitsPage()],
    ["methods.md", methodsPage()],
    ["metrics.md", await metricsPage()],
    ["settings.md", settingsPage()],
  ])

export const writeDocs = async (): Promise<ReadonlyArray<string>> => {
  const directory = path.join(root, folder)
  mkdirSync(directory, { recursive: true })
  const made = await pages()
  for (const [file, text] of made) writeFileSync(path.join(directory, file), text)
  return [...made.keys()].map((file) => `${folder}/${file}`)
}

/** One line for each committed page that is not what the code says now. */
export const docsAreFresh = async (): Promise<ReadonlyArray<string>> => {
  const directory = path.join(root, folder)
  const committed = new Map(
    readdirSync(directory).map((file) => [file, readFileSync(path.join(directory, file), "utf8")] as const),
  )
  const found = differences(committed, await pages(), folder)
  return found.length === 0 ? [] : [...found, "Run `bun run docs` and commit the result."]
}
