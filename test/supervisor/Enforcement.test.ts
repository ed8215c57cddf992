import { describe, expect, it } from "vitest"
import type { SandboxPolicy } from "../../src/domain/Policy.ts"
import { unenforced } from "../../src/supervisor/gateway/Enforcement.ts"

describe("a policy", () => {
  it("is in force where it asks for nothing, or for the user that runs the sandbox anyway", () => {
    expect(unenforced({}, "me")).toBeUndefined()
    expect(unenforced({ version: 1, filesystem: { includeWorkdir: true } }, "me")).toBeUndefined()
    expect(unenforced({ process: { runAsUser: "me" } }, "me")).toBeUndefined()
  })

  it.each<[string, SandboxPolicy]>([
    ["filesystem paths", { filesystem: { readOnly: ["/usr"] } }],
    ["landlock", { landlock: { compatibility: "best_effort" } }],
    ["running as user 'sandbox'", { process: { runAsUser: "sandbox" } }],
    ["running as group 'sandbox'", { process: { runAsGroup: "sandbox" } }],
    ["network rules", { networkPolicies: { web: {} } }],
    ["network middlewares", { networkMiddlewares: { scan: {} } }],
  ])("is refused for %s, and says so", (what, policy) => {
    expect(unenforced(policy, "me")).toBe(`this supervisor does not enforce: ${what}`)
  })
})
