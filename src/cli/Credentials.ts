/** Where a command takes credentials from: the environment, files, stdin, and only last its own words. */
import { readFile } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { Effect } from "effect"
import { CliFailure, usageFailure } from "./Failure.ts"
import type { Invocation } from "./Invocation.ts"
import { listOption, mapOption } from "./Options.ts"

type Secrets = Readonly<Record<string, string>>

/** `KEY` takes the variable of that name; `KEY=VALUE` is seen by everyone who may list processes. */
const fromWords = (words: ReadonlyArray<string>): Effect.Effect<Secrets, CliFailure> =>
  Effect.map(
    Effect.forEach(words, (word) => {
      const split = word.indexOf("=")
      if (split > 0) return Effect.succeed([word.slice(0, split), word.slice(split + 1)] as const)
      const value = process.env[word]
      return value === undefined || value === ""
        ? usageFailure(
            `the environment has no ${word}`,
            `Set it, or give the credential with --credential-file ${word}=FILE (- for stdin).`,
          )
        : Effect.succeed([word, value] as const)
    }),
    Object.fromEntries<string>,
  )

/** The line feed that ends a file is not part of the credential. */
const contentOf = (key: string, file: string): Effect.Effect<readonly [string, string], CliFailure> =>
  Effect.tryPromise({
    try: async () => (file === "-" ? await text(process.stdin) : await readFile(file, "utf8")),
    catch: (cause) =>
      new CliFailure({
        what: `cannot read the credential ${key}`,
        why: cause instanceof Error ? cause.message : String(cause),
        exitCode: 2,
      }),
  }).pipe(Effect.map((content) => [key, content.replace(/\r?\n$/, "")] as const))

/** What `--credential` and `--credential-file` give; a file wins. */
export const credentialsOf = (invocation: Invocation): Effect.Effect<Secrets, CliFailure> =>
  Effect.gen(function* () {
    const files = Object.entries(mapOption(invocation, "credentialFile"))
    if (files.filter(([, file]) => file === "-").length > 1)
      return yield* usageFailure("only one credential can come from stdin")
    const words = yield* fromWords(listOption(invocation, "credential"))
    const read = yield* Effect.forEach(files, ([key, file]) => contentOf(key, file))
    return { ...words, ...Object.fromEntries(read) }
  })

/** `KEY=TIME` of `--expires`, in milliseconds; RFC 3339 or a date. */
export const expiriesOf = (
  invocation: Invocation,
): Effect.Effect<Readonly<Record<string, number>>, CliFailure> =>
  Effect.map(
    Effect.forEach(Object.entries(mapOption(invocation, "expires")), ([key, time]) => {
      const atMs = Date.parse(time)
      return Number.isFinite(atMs) && atMs > 0
        ? Effect.succeed([key, atMs] as const)
        : usageFailure(`--expires ${key}=${time}: not a time`, "Write it as 2027-01-31T00:00:00Z.")
    }),
    Object.fromEntries<number>,
  )
