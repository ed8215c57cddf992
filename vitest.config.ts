import { defineConfig } from "vitest/config"

/** Suites that start clusters, daemons or whole commands: one file at a time, or they starve each other. */
const processSuites = [
  "test/api/**/*.test.ts",
  "test/bench/**/*.test.ts",
  "test/chaos/**/*.test.ts",
  "test/cli/**/*.test.ts",
  "test/cluster/**/*.test.ts",
  "test/drill/process/**/*.test.ts",
  "test/driver/**/*.test.ts",
  "test/fuzz/**/*.test.ts",
  "test/interop/**/*.test.ts",
  "test/local/**/*.test.ts",
  "test/e2e/**/*.test.ts",
]

export default defineConfig({
  test: {
    // Real sockets, signals and child processes: a process per file, and two at once fill two cores.
    pool: "forks",
    globalSetup: "test/kit/Build.ts",
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    // Every wait in a test has a shorter deadline of its own; these end a test that hangs.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "units",
          include: ["test/**/*.test.ts"],
          exclude: processSuites,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "processes", include: processSuites, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
