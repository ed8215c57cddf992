/** The `holdfast` program: the command line, with the programs that lie above it in the layers. */
import { enableCompileCache } from "node:module"
import { setFlagsFromString } from "node:v8"
import type { CliDependencies } from "./cli/Cli.ts"

// Type-stripped and compiled modules are kept between runs; a short command spends most of its time on them.
enableCompileCache()

const { limits } = await import("./domain/Limits.ts")
// Between full collections the heap may grow by this much of what survived the last: buffers of relays live
// for a moment, and the cheap collections of young objects free them.
setFlagsFromString(`--heap-growing-percent=${limits.heapGrowthPercent}`)

const { runCli } = await import("./cli/Cli.ts")

const dependencies: CliDependencies = {
  runGateway: async (options) => (await import("./gateway/Gateway.ts")).runGateway(options),
  runSupervisor: async (argv) => (await import("./supervisor/Supervisor.ts")).program(process.env, argv),
  runDrill: async (options) => (await import("./drill/Drill.ts")).runDrill(options),
  runUp: async (options) => (await import("./local/Up.ts")).runUp(options),
}

const exitCode = await runCli(process.argv.slice(2), dependencies)
// Standard streams may still hold output when they are pipes; the rest of the process has nothing left to do.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
)
process.exit(exitCode)
