/** Something happened that must not, or did not happen that must. `kind` says which promise was broken. */
export class Violation extends Error {
  readonly kind: string

  constructor(kind: string, message: string) {
    super(`${kind}: ${message}`)
    this.kind = kind
  }
}
