/** Plays one replica: creates the sandbox argv[3] below the state directory argv[2], prints what it observes. */
import { Effect } from "effect"
import { Driver } from "../../src/driver/Driver.ts"
import * as ProcessDriver from "../../src/driver/ProcessDriver.ts"
import { config, sandbox } from "./Fixtures.ts"

const [, , stateDir = "", id = ""] = process.argv

const observed = await Effect.runPromise(
  Effect.flatMap(Driver, (driver) => driver.create(sandbox(id))).pipe(
    Effect.provide(ProcessDriver.layer(config(stateDir))),
  ),
)
process.stdout.write(`${JSON.stringify(observed)}\n`)
