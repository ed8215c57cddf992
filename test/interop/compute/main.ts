/** `node test/interop/compute/main.ts SOCKET [IMAGE]`: checks a compute driver that serves there. */
import { conform } from "./Conformance.ts"

const [socketPath, image] = process.argv.slice(2)
if (socketPath === undefined) {
  process.stderr.write("usage: main.ts SOCKET [IMAGE]\n")
  process.exit(2)
}
const verdicts = await conform({ socketPath, ...(image === undefined ? {} : { image }) })
for (const { title, error } of verdicts)
  process.stdout.write(
    error === undefined
      ? `ok    ${title}\n`
      : `FAIL  ${title}\n      ${error instanceof Error ? error.message : error}\n`,
  )
process.exit(verdicts.every(({ error }) => error === undefined) ? 0 : 1)
