/** Runs suites of tests and counts them. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { Schema } from "effect"
import { run } from "./Step.ts"

export interface Counts {
  readonly passed: number
  readonly failed: number
  /** Full names of tests that did not run. */
  readonly skipped: ReadonlyArray<string>
}

/** The part of vitest's JSON report that is read here. */
const Report = Schema.Struct({
  testResults: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      status: Schema.String,
      assertionResults: Schema.Array(Schema.Struct({ fullName: Schema.String, status: Schema.String })),
    }),
  ),
})
type Report = typeof Report.Type

/**
 * A file that fails outside its tests (it does not load, a hook fails) counts as one failure, and so does a run
 * that ends badly although no test failed.
 */
export const count = (report: Report, endedWell: boolean): Counts => {
  const tests = report.testResults.flatMap((file) => file.assertionResults)
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.every(({ status }) => status !== "failed"),
  ).length
  const failed = tests.filter(({ status }) => status === "failed").length + broken
  return {
    passed: tests.filter(({ status }) => status === "passed").length,
    failed: failed === 0 && !endedWell ? 1 : failed,
    skipped: tests
      .filter(({ status }) => status !== "passed" && status !== "failed")
      .map(({ fullName }) => fullName),
  }
}

/** One project of vitest.config.ts; its progress goes to standard output as it comes. */
export const runTests = async (
  project: string,
  options: { readonly parallel: boolean; readonly timeoutMs: number },
): Promise<Counts> => {
  const directory = mkdtempSync(path.join(tmpdir(), "holdfast-tests-"))
  const file = path.join(directory, "report.json")
  try {
    const { passed, output } = await run(
      [
        "node",
        "--disable-warning=ExperimentalWarning",
        "node_modules/vitest/vitest.mjs",
        "run",
        `--project=${project}`,
        "--passWithNoTests",
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${file}`,
        "--silent=passed-only",
        ...(options.parallel ? [] : ["--no-file-parallelism"]),
      ],
      { timeoutMs: options.timeoutMs, stream: true },
    )
    if (!existsSync(file)) {
      process.stdout.write(`${output}\nvitest wrote no report\n`)
      return { passed: 0, failed: 1, skipped: [] }
    }
    return count(Schema.decodeUnknownSync(Schema.parseJson(Report))(readFileSync(file, "utf8")), passed)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
