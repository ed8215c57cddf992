import { describe, expect, it } from "@effect/vitest"
import { lineProblems, textProblems, typeProblems } from "./Files.ts"
import { differences } from "./Generated.ts"
import { layerProblems } from "./Layers.ts"
import type { Source } from "./Sources.ts"
import { count } from "./Tests.ts"

const source = (file: string, text: string): Source => ({ file, text })
const layered = (file: string, text: string) =>
  layerProblems([source(file, text)], new Set(["effect", "@effect/rpc"]))

describe("the check of layers", () => {
  it("lets a folder use what lies below it, Node and its dependencies", () => {
    const text = `
      import { readFileSync } from "node:fs"
      import { Effect } from "effect"
      import * as Rpc from "@effect/rpc/Rpc"
      import { limits } from "../domain/Limits.ts"
      import { near } from "./Near.ts"
      import manifest from "../../package.json" with { type: "json" }
    `
    expect(layered("src/edge/Session.ts", text)).toEqual([])
  })

  it.each([
    ["a static import", 'import { a } from "../api/A.ts"'],
    ["an import of types", 'import type { A } from "../api/A.ts"'],
    ["a dynamic import", 'const a = await import("../api/A.ts")'],
    ["a re-export", 'export * from "../api/A.ts"'],
    ["a type in place", 'type A = import("../api/A.ts").A'],
  ])("refuses %s that points upwards", (_, text) => {
    expect(layered("src/edge/Session.ts", text)).toEqual([
      "src/edge/Session.ts:1: imports upwards: src/api/A.ts",
    ])
  })

  it("keeps the supervisor and the client apart from the gateway", () => {
    const problems = layered("src/supervisor/Supervisor.ts", 'import { Store } from "../store/Store.ts"')
    expect(problems).toEqual([
      "src/supervisor/Supervisor.ts:1: imports src/store/Store.ts: supervisor may use domain, wire, observe, stream only",
    ])
  })

  it("keeps protobuf within the wire, and the versions of a wire apart", () => {
    const above = (specifier: string) => layered("src/edge/A.ts", `import { a } from "${specifier}"`)
    expect(above("@bufbuild/protobuf")).toEqual(["src/edge/A.ts:1: names protobuf above the wire"])
    expect(above("@bufbuild/protobuf/wire")).toHaveLength(1)
    expect(above("../wire/openshell-v1/gen/openshell/v1/exec_pb.js")).toHaveLength(1)
    expect(above("../wire/openshell-v1/Generated.ts")).toHaveLength(1)
    expect(above("../wire/grpc/Typed.ts")).toHaveLength(1)
    expect(above("../wire/openshell-v1/Exec.ts")).toEqual([])
    expect(layered("src/wire/later-v2/A.ts", 'import { a } from "../openshell-v1/Exec.ts"')).toEqual([
      "src/wire/later-v2/A.ts:1: imports another wire: src/wire/openshell-v1/Exec.ts",
    ])
  })

  it("refuses a folder without a layer, files outside src, and packages that are no dependencies", () => {
    expect(layered("src/misc/A.ts", "")).toHaveLength(1)
    expect(layered("src/edge/A.ts", 'import { a } from "../../test/kit/Tools.ts"')).toHaveLength(1)
    expect(layered("src/edge/A.ts", 'import ts from "typescript"')).toEqual([
      "src/edge/A.ts:1: imports typescript, which is not among the dependencies",
    ])
  })
})

describe("the check of files", () => {
  it("finds types that switch checking off, and no words that look like them", () => {
    const text = [
      "const any = 1",
      "type A = any",
      "const b = any as unknown as string",
      "// any as unknown",
    ].join("\n")
    expect(typeProblems([source("src/a.ts", text)])).toEqual([
      "src/a.ts:2: type `any`",
      "src/a.ts:3: an assertion through `unknown`",
    ])
  })

  it("finds work left for later and comments that switch the type-check off", () => {
    const text = [`// ${"TO"}${"DO"}: later`, `// ${"@ts"}-ignore`, "const todo = 1"].join("\n")
    expect(textProblems([source("src/a.ts", text)]).map((problem) => problem.split(": ")[0])).toEqual([
      "src/a.ts:1",
      "src/a.ts:2",
    ])
  })

  it("finds files of more than 300 lines", () => {
    expect(lineProblems([source("src/a.ts", "x\n".repeat(300))])).toEqual([])
    expect(lineProblems([source("src/a.ts", "x\n".repeat(301))])).toHaveLength(1)
  })

  it("tells files that are missing, out of date or of nothing", () => {
    const problems = differences(
      new Map([
        ["same", "1"],
        ["old", "1"],
        ["stray", "1"],
      ]),
      new Map([
        ["same", "1"],
        ["old", "2"],
        ["new", "1"],
      ]),
      "gen",
    )
    expect(problems).toEqual(["gen/old is out of date", "gen/new is missing", "gen/stray belongs to nothing"])
  })
})

describe("the count of tests", () => {
  const test = (fullName: string, status: string) => ({ fullName, status })
  const file = (
    status: string,
    ...assertionResults: ReadonlyArray<{ fullName: string; status: string }>
  ) => ({
    name: "a.test.ts",
    status,
    assertionResults,
  })

  it("counts what passed, failed and did not run", () => {
    const report = {
      testResults: [file("failed", test("a", "passed"), test("b", "failed"), test("c", "skipped"))],
    }
    expect(count(report, false)).toEqual({ passed: 1, failed: 1, skipped: ["c"] })
  })

  it("counts a file that does not load as a failure", () => {
    expect(count({ testResults: [file("failed")] }, false)).toMatchObject({ passed: 0, failed: 1 })
  })

  it("counts a run that ends badly as a failure although every test passed", () => {
    const report = { testResults: [file("passed", test("a", "passed"))] }
    expect(count(report, false)).toMatchObject({ passed: 1, failed: 1 })
    expect(count(report, true)).toMatchObject({ passed: 1, failed: 0 })
  })
})
