/** Started as a process of its own by tests: opens the store, says so on stdout, and stays until stdin ends. */
import { Effect, Layer, Logger, Redacted } from "effect"
import * as Store from "../../../src/store/Store.ts"

const [url = "", clusterId = ""] = process.argv.slice(2)

const open = Layer.launch(
  Layer.effectDiscard(Effect.sync(() => process.stdout.write("open\n"))).pipe(
    Layer.provide(
      Store.layer({ url: Redacted.make(url), clusterId, applicationName: "holdfast test process" }),
    ),
    Layer.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))),
  ),
)

process.stdin.resume()
process.stdin.once("end", () => process.exit(0))
Effect.runPromise(open).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
