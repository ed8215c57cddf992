/** A change of configuration reaches our supervisor at once, whichever replica it was made on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { OpenShell, PolicyStatus } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { until } from "../kit/Until.ts"

const { method } = OpenShell

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 2 })
}, 90_000)
afterAll(() => cluster?.stop(), 60_000)

/** The statuses that every replica shows, newest version first. */
const statuses = async (name: string, via: string) => {
  const { revisions } = await callUnary(await cluster.connection(via), method.listSandboxPolicies, { name })
  return revisions.map(({ version, status, loadError }) => ({ version, status, loadError }))
}

describe("a change of policy", () => {
  it("is answered by the supervisor within seconds, through every replica", async () => {
    await cluster.create("pushed")
    await cluster.ready("pushed")
    // Polling alone would take ten minutes.
    for (const [index, via] of cluster.names.entries()) {
      const version = index + 1
      const { version: stored } = await callUnary(await cluster.connection(via), method.updateConfig, {
        name: "pushed",
        policy: {
          version: 1,
          networkPolicies: { web: { endpoints: [{ host: "a.example", port: version }] } },
        },
      })
      expect(stored).toBe(version)
      await until(`version ${version} is answered`, async () => {
        const [latest] = await statuses("pushed", via)
        return latest?.version === version && latest.status !== PolicyStatus.PENDING
      })
    }
    const via = cluster.names[0] ?? ""
    expect((await statuses("pushed", via))[0]).toEqual({
      version: 2,
      status: PolicyStatus.FAILED,
      loadError: "this supervisor does not enforce: network rules",
    })
  })

  it("is in force when it asks for nothing that has to be enforced, and the sandbox says so", async () => {
    const via = cluster.names[1] ?? ""
    await callUnary(await cluster.connection(via), method.updateConfig, {
      name: "pushed",
      policy: { version: 1 },
    })
    await until("the sandbox has loaded version 3", async () => {
      const { sandbox } = await callUnary(await cluster.connection(via), method.getSandbox, {
        name: "pushed",
      })
      return sandbox?.status?.currentPolicyVersion === 3
    })
    expect((await statuses("pushed", via)).map(({ status }) => status)).toEqual([
      PolicyStatus.LOADED,
      PolicyStatus.FAILED,
      PolicyStatus.FAILED,
    ])
  })
})
