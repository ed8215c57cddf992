/** A stand-in for the supervisor and sandboxes to run it in. */
import { Redacted } from "effect"
import type { DriverSandbox } from "../../src/driver/Driver.ts"
import type { ProcessDriverConfig } from "../../src/driver/ProcessDriver.ts"

/**
 * Writes its environment, starts an obedient child, a child in a session of its own that ignores TERM, and
 * one that hides its mark but stays in the family; then waits.
 */
const script = `
env -0 > "$HOME/environment"
sleep 300 &
setsid bash -c 'trap "" TERM; echo $$ > "$HOME/stubborn.pid"; while :; do sleep 1; done' &
env -i setsid sleep 301 &
echo $$ >> "$HOME/starts"
wait
`

export const config = (stateDir: string): ProcessDriverConfig => ({
  stateDir,
  endpoint: "http://127.0.0.1:17670",
  logLevel: "info",
  command: ["/bin/bash", "-c", script, "supervisor"],
  stopGraceMs: 300,
})

export const sandbox = (id: string, spec: Partial<DriverSandbox["spec"]> = {}): DriverSandbox => ({
  id,
  name: "demo",
  workspace: "default",
  token: Redacted.make("secret-token"),
  spec: { logLevel: "", environment: {}, providers: [], command: [], tty: false, ...spec },
})
