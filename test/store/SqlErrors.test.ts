import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "vitest"
import { isMissingParent, outageReason } from "../../src/store/SqlErrors.ts"

const coded = (code: string, message = "text") => Object.assign(new Error(message), { code })
const wrapped = (cause: unknown) => new SqlError({ cause, message: "Failed to execute statement" })

describe("database errors", () => {
  it("are an outage when waiting or another server cures them", () => {
    const reasons: ReadonlyArray<readonly [unknown, RegExp]> = [
      [coded("ECONNREFUSED"), /^connection refused \(ECONNREFUSED\)$/],
      [new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")]), /^connection refused/],
      [
        coded("57P01", "terminating connection"),
        /^shutting down or starting \(57P01: terminating connection\)$/,
      ],
      [coded("57014"), /^statement timed out/],
      [coded("40001"), /^transaction rolled back/],
      [coded("53300", "too many clients"), /^out of resources \(53300: too many clients\)$/],
      [coded("25006"), /^read-only server/],
      [coded("25P03"), /^transaction timed out/],
      [coded("SQLITE_FULL"), /^disk full/],
      [new Error("Connection terminated unexpectedly"), /^connection lost$/],
      [new Error("timeout exceeded when trying to connect"), /^no connection free in time$/],
    ]
    for (const [error, reason] of reasons) {
      expect(outageReason(error)).toMatch(reason)
      expect(outageReason(wrapped(error))).toMatch(reason)
    }
  })

  it("are a fault of the program otherwise", () => {
    for (const error of [
      coded("23505"),
      coded("42601"),
      coded("22021"),
      new Error("what"),
      "text",
      undefined,
    ])
      expect(outageReason(wrapped(error))).toBeUndefined()
  })

  it("of a missing parent row are told apart", () => {
    expect(isMissingParent(wrapped(coded("23503")))).toBe(true)
    expect(isMissingParent(wrapped(coded("SQLITE_CONSTRAINT", "FOREIGN KEY constraint failed")))).toBe(true)
    expect(isMissingParent(wrapped(coded("23505")))).toBe(false)
  })

  it("end the search for their cause even when they go in circles", () => {
    const circle = new AggregateError([])
    circle.errors.push(circle)
    expect(outageReason(circle)).toBeUndefined()
  })
})
