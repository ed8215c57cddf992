/** What the driver program of the tests keeps of its sandboxes, so that it finds them again after kill -9. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { Option, Schema } from "effect"

const StringMap = Schema.Record({ key: Schema.String, value: Schema.String })

const Record = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  workspace: Schema.String,
  image: Schema.String,
  logLevel: Schema.String,
  environment: StringMap,
  command: Schema.Array(Schema.String),
  tty: Schema.Boolean,
  token: Schema.String,
  suspended: Schema.Boolean,
})
export type Record = typeof Record.Type

const decode = Schema.decodeUnknownOption(Schema.parseJson(Record))

export class Records {
  readonly #directory: string

  constructor(stateDir: string) {
    this.#directory = path.join(stateDir, "compute")
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  all(): ReadonlyArray<Record> {
    return readdirSync(this.#directory)
      .filter((file) => file.endsWith(".json"))
      .flatMap((file) => Option.toArray(decode(readFileSync(path.join(this.#directory, file), "utf8"))))
  }

  find(id: string): Record | undefined {
    return this.all().find((record) => record.id === id)
  }

  put(record: Record): void {
    const file = this.#fileOf(record.id)
    writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }

  remove(id: string): void {
    rmSync(this.#fileOf(id), { force: true })
  }

  #fileOf(id: string): string {
    return path.join(this.#directory, `${id}.json`)
  }
}
