/** `bun run check`: everything that must hold before a change is merged, one line per step. */
import { fileProblems } from "./check/Files.ts"
import { wireIsFresh } from "./check/Generated.ts"
import { type Outcome, problems, root, run } from "./check/Step.ts"
import { type Counts, runTests } from "./check/Tests.ts"
import { docsAreFresh } from "./docs/Pages.ts"
import { manifestsRender } from "./k8s/Render.ts"
import { requireTools } from "./kit/Tools.ts"

/** It takes a quarter of an hour on two free cores; what is still running after this is ended and has failed. */
const budgetMs = 40 * 60_000
const startedAtMs = performance.now()
const remainingMs = (): number => Math.max(1_000, budgetMs - (performance.now() - startedAtMs))

let passed = 0
let failed = 0
const skipped: Array<string> = []

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`

const step = async (name: string, work: () => Promise<Outcome> | Outcome): Promise<void> => {
  const beganMs = performance.now()
  const outcome = await Promise.resolve()
    .then(work)
    .catch((error: unknown) =>
      problems([error instanceof Error ? (error.stack ?? error.message) : String(error)]),
    )
  if (outcome.passed) passed += 1
  else failed += 1
  say(`${outcome.passed ? "ok    " : "FAILED"} ${name} (${seconds(beganMs)})`)
  if (!outcome.passed) say(outcome.output.trimEnd())
}

const tests = async (name: string, project: string, parallel: boolean): Promise<void> => {
  const beganMs = performance.now()
  const counts: Counts = await runTests(project, { parallel, timeoutMs: remainingMs() })
  passed += counts.passed
  failed += counts.failed
  skipped.push(...counts.skipped)
  say(
    `${counts.failed === 0 ? "ok    " : "FAILED"} ${name}: ${counts.passed} passed, ${counts.failed} failed (${seconds(beganMs)})`,
  )
}

await step("tools of the system", async () => {
  await requireTools(["ssh", "scp", "rsync", "git", "zsh", "fish", "pgrep"])
  return problems([])
})
await step("types", () => run(["tsc", "--noEmit", "-p", "."], { timeoutMs: remainingMs() }))
await step("lint and format", () =>
  run(["biome", "check", "--error-on-warnings", "--max-diagnostics=200", "."], { timeoutMs: remainingMs() }),
)
await step("generated code is fresh", () => wireIsFresh(remainingMs()))
await step("generated docs are fresh", async () => problems(await docsAreFresh()))
await step("Kubernetes manifests", async () => problems(await manifestsRender(remainingMs())))
await step("files and layers", () => problems(fileProblems(root)))
await step("simulation", async () => {
  const { passed: sound, output } = await run(
    ["node", "test/simulation/main.ts", "--seeds", "1000", "--seconds", "120"],
    { timeoutMs: remainingMs() },
  )
  if (sound) say(`       ${output.trim()}`)
  return { passed: sound, output }
})
await tests("tests", "units", true)
await tests("tests with real processes", "processes", false)

// A test that does not run proves nothing; only a person at a desk may decide to go without it.
const strict = process.env.CI === "true"
for (const name of skipped) say(`SKIPPED ${name}`)
if (strict) failed += skipped.length
const more = strict || skipped.length === 0 ? "" : `, ${skipped.length} skipped`
say(`${passed} passed, ${failed} failed${more}`)
process.exit(failed === 0 ? 0 : 1)
