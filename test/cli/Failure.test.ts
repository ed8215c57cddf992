import { describe, expect, it } from "vitest"
import { CliFailure, explain, renderFailure } from "../../src/cli/Failure.ts"
import { ConnectFailed } from "../../src/client/ConnectFailed.ts"
import * as Errors from "../../src/domain/Errors.ts"

const context = { action: 'get sandbox "dmeo"', gateway: "http://g:1", workspace: "default", sandbox: "dmeo" }
const text = (failure: CliFailure): string => renderFailure(failure, { color: false, debug: false })

const each = [
  new Errors.InvalidArgument({ message: "m" }),
  new Errors.Unauthenticated({ message: "m" }),
  new Errors.PermissionDenied({ message: "m" }),
  new Errors.NotFound({ message: "m" }),
  new Errors.AlreadyExists({ message: "m" }),
  new Errors.FailedPrecondition({ message: "m" }),
  new Errors.Conflict({ message: "m" }),
  new Errors.LimitReached({ message: "m" }),
  new Errors.Unavailable({ message: "m" }),
  new Errors.DeadlineExceeded({ message: "m" }),
  new Errors.Unimplemented({ message: "m" }),
  new Errors.StaleEpoch({ message: "m", shard: 1, epoch: 1, seen: 2 }),
  new Errors.StreamLost({ message: "m" }),
  new Errors.StreamReset({ message: "m" }),
  new Errors.StreamRefused({ message: "m" }),
  new Errors.Internal({ message: "m" }),
]

describe("a failure", () => {
  it.each(each)("$_tag says what failed, why and what next, with the table's exit code", (error) => {
    const failure = explain(error, context)
    expect(failure.exitCode).toBe(Errors.errorTable[error._tag].exitCode)
    const lines = text(failure).trimEnd().split("\n")
    expect(lines.length).toBeLessThanOrEqual(3)
    expect(lines[0]).toBe('error: cannot get sandbox "dmeo"')
    expect(lines[1]).toBe("  why: m")
    if (error._tag !== "InvalidArgument") expect(lines[2]).toMatch(/^ {2}next: \S.*[.?]$/)
  })

  it("of a mistyped name suggests the nearest", () => {
    const failure = explain(new Errors.NotFound({ message: "sandbox not found" }), {
      ...context,
      suggestion: "demo",
    })
    expect(text(failure)).toBe(
      'error: cannot get sandbox "dmeo"\n' +
        '  why: workspace "default" has no sandbox "dmeo"\n' +
        '  next: Did you mean "demo"? `holdfast sandbox list` shows all.\n',
    )
  })

  it("of the way to a remote command has ssh's exit code, a refusal keeps its own", () => {
    const code = (error: unknown) => explain(error, { ...context, transport: true }).exitCode
    expect(code(new Errors.Unavailable({ message: "relay channel dropped" }))).toBe(255)
    expect(code(new Errors.DeadlineExceeded({ message: "relay open timed out" }))).toBe(255)
    expect(code(new Errors.StreamLost({ message: "not resumed within 60000 ms" }))).toBe(255)
    expect(code(new ConnectFailed({ url: "http://g:1", message: "refused" }))).toBe(255)
    expect(code(new Errors.NotFound({ message: "sandbox not found" }))).toBe(5)
    expect(code(new Errors.FailedPrecondition({ message: "sandbox is not ready" }))).toBe(7)
  })

  it("shows a stack only for debugging, and never breaks or colours its lines by what the server said", () => {
    const failure = explain(new Errors.Internal({ message: "two\nlines \u001b[31mred" }), context)
    expect(text(failure)).toContain("why: two; lines \\u001b[31mred\n")
    expect(text(failure)).not.toContain("    at ")
    expect(renderFailure(failure, { color: false, debug: true })).toContain("    at ")
  })

  it("that is ready to print stays as it is", () => {
    const failure = new CliFailure({ what: "w", exitCode: 9 })
    expect(explain(failure, context)).toBe(failure)
    expect(text(failure)).toBe("error: w\n")
  })
})
