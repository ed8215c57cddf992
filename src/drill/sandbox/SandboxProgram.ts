/** The program of Server.ts as commands for a sandbox, which needs Node and nothing of Holdfast. */
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { installed } from "../../domain/Installation.ts"

const textOf = (file: string): string =>
  stripTypeScriptTypes(readFileSync(installed(`src/drill/${file}`), "utf8"))

/** Both modules in one, without the import of one by the other. */
const program = (): string =>
  [textOf("check/Content.ts").replace(/^export /gm, ""), textOf("sandbox/Server.ts")]
    .join("\n")
    .replace(/^import .* from "\.\..*$/gm, "")

let cached: string | undefined

/** The drill's own Node where the sandbox sees it, else the sandbox's. The program is the script's first word. */
const script = `for node in "$1" node; do
  if command -v "$node" >/dev/null 2>&1; then
    shift
    exec "$node" --input-type=module -e "$0" -- "$@"
  fi
done
echo "a drill needs node in its sandboxes" >&2
exit 127`

const command = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
  cached ??= program()
  return ["/bin/sh", "-c", script, cached, process.execPath, ...words]
}

/** Where the servers leave their ports; the sandbox's home is its own. */
const portsFile = ".holdfast-drill"

/** The main process of a sandbox. */
export const serveCommand: ReadonlyArray<string> = command("serve", portsFile)
/** Prints the servers' ports as JSON: `{"tcp":1,"web":2}`. Fails until they listen. */
export const portsCommand: ReadonlyArray<string> = ["cat", portsFile]

export interface Printing {
  readonly seed: number
  readonly pieces: number
  readonly pieceBytes: number
  readonly intervalMs: number
}

/** Prints random content of a seed on stdout, a piece at each interval. */
export const printCommand = ({ seed, pieces, pieceBytes, intervalMs }: Printing): ReadonlyArray<string> =>
  command("print", ...[seed, pieces, pieceBytes, intervalMs].map(String))
