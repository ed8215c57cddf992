/** What git would ignore: every `.gitignore` from the repository's root down to the file's directory. */
import { readFile, stat } from "node:fs/promises"
import { dirname, join, relative, sep } from "node:path"
import ignore, { type Ignore } from "ignore"

interface Rules {
  /** Directory that the patterns are relative to. */
  readonly directory: string
  readonly patterns: Ignore
}

export class GitIgnore {
  readonly #rules: ReadonlyArray<Rules>

  private constructor(rules: ReadonlyArray<Rules>) {
    this.#rules = rules
  }

  /** The rules that hold in `directory`: its own and those of its parents up to the repository. */
  static async at(directory: string): Promise<GitIgnore> {
    const chain: Array<string> = []
    for (let current = directory; ; current = dirname(current)) {
      chain.unshift(current)
      if (await exists(join(current, ".git"))) return GitIgnore.#from(chain)
      // No repository: only the files that are copied may say what is left out.
      if (dirname(current) === current) return GitIgnore.#from([directory])
    }
  }

  static async #from(chain: ReadonlyArray<string>): Promise<GitIgnore> {
    let result = new GitIgnore([])
    for (const directory of chain) result = await result.enter(directory)
    return result
  }

  /** These rules and those of a directory below. */
  async enter(directory: string): Promise<GitIgnore> {
    const text = await readFile(join(directory, ".gitignore"), "utf8").catch(() => undefined)
    if (text === undefined) return this
    return new GitIgnore([...this.#rules, { directory, patterns: ignore().add(text) }])
  }

  /** The deepest file with a matching pattern decides, as in git. */
  ignores(path: string, isDirectory: boolean): boolean {
    for (const { directory, patterns } of this.#rules.toReversed()) {
      const inside = relative(directory, path).split(sep).join("/")
      const verdict = patterns.test(isDirectory ? `${inside}/` : inside)
      if (verdict.ignored) return true
      if (verdict.unignored) return false
    }
    return false
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
