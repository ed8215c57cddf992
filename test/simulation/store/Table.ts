/** Rows of one kind, with the changes that open transactions have staged. */
export class Table<Row> {
  readonly name: string
  readonly rows = new Map<string, Row>()
  readonly #staged = new WeakMap<object, Map<string, Row | undefined>>()

  constructor(name: string) {
    this.name = name
  }

  get(tx: object, key: string): Row | undefined {
    const staged = this.#staged.get(tx)
    return staged?.has(key) === true ? staged.get(key) : this.rows.get(key)
  }

  set(tx: object, key: string, row: Row | undefined): void {
    const staged = this.#staged.get(tx) ?? new Map<string, Row | undefined>()
    this.#staged.set(tx, staged.set(key, row))
  }

  commit(tx: object): void {
    for (const [key, row] of this.#staged.get(tx) ?? []) {
      if (row === undefined) this.rows.delete(key)
      else this.rows.set(key, row)
    }
  }
}
