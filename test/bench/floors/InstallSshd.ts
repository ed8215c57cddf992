/** OpenSSH's programs; installed when they are missing and may be. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import { requireTools } from "../../kit/Tools.ts"
import { BenchError, failed } from "../BenchError.ts"

const program = "/usr/sbin/sshd"

/** Path of sshd, which must be called by its full path. */
export const ensureSshd = (mayInstall: boolean): Effect.Effect<string, BenchError> =>
  Effect.gen(function* () {
    if (!existsSync(program) && !mayInstall)
      return yield* new BenchError({ message: "sshd is not installed, and --quick installs nothing" })
    yield* Effect.tryPromise({
      try: () => requireTools(["sshd", "ssh", "ssh-keygen"]),
      catch: failed("OpenSSH is missing"),
    })
    return program
  })
