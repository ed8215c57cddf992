/** `bun run docs`: writes docs/reference. */
import { writeDocs } from "./Pages.ts"

for (const file of await writeDocs()) process.stdout.write(`${file}\n`)
