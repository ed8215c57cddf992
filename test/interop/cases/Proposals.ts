/** Rules that a sandbox proposes, decided by the command line. */
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../../kit/Calls.ts"
import { type Case, equal, includes, lacks, type Use } from "./Case.ts"

/** As the supervisor of the sandbox submits what it found denied. */
const submit = async (use: Use, id: string, name: string, hosts: ReadonlyArray<string>) => {
  const authorization = `Bearer ${await use.stage.cluster.token(id)}`
  const { acceptedChunkIds } = await use.stage.ask((connection) =>
    callUnary(
      connection,
      OpenShell.method.submitPolicyAnalysis,
      {
        name,
        workspace: "default",
        analysisMode: "mechanistic",
        proposedChunks: hosts.map((host) => ({
          ruleName: host.replaceAll(".", "_"),
          proposedRule: { endpoints: [{ host, port: 443 }], binaries: [{ path: "/usr/bin/curl" }] },
          rationale: "denied 3 times",
          confidence: 0.9,
          binary: "/usr/bin/curl",
        })),
      },
      { metadata: { authorization }, timeoutMs: 20_000 },
    ),
  )
  return acceptedChunkIds
}

export const proposals: ReadonlyArray<Case> = [
  {
    name: "rule get, approve, reject, approve-all, clear, history",
    supervisors: "none",
    needs: "SubmitPolicyAnalysis",
    run: async (use) => {
      const name = use.name()
      await use.cli(["sandbox", "create", "--name", name, "--detach", "--", "sleep", "100000"])
      const place = await use.stage.find(name)
      const hosts = ["a.example.com", "b.example.com", "c.example.com"]
      const [a = "", b = ""] = await submit(use, place.id, name, hosts)
      includes(await use.text(["rule", "get", name], { of: place }), ...hosts)
      await use.cli(["rule", "approve", name, "--chunk-id", a], { of: place })
      includes(await use.text(["policy", "get", name, "--full"], { of: place }), "a.example.com")
      await use.cli(["rule", "reject", name, "--chunk-id", b, "--reason", "no need"], { of: place })
      includes(await use.text(["rule", "get", name, "--status", "rejected"], { of: place }), "b.example.com")
      await use.cli(["rule", "approve-all", name], { of: place })
      const policy = await use.text(["policy", "get", name, "--full"], { of: place })
      includes(policy, "a.example.com", "c.example.com")
      lacks(policy, "b.example.com")
      await submit(use, place.id, name, ["d.example.com"])
      await use.cli(["rule", "clear", name], { of: place })
      lacks(await use.text(["rule", "get", name, "--status", "pending"], { of: place }), "d.example.com")
      includes(await use.text(["rule", "history", name], { of: place }), "approved", "rejected")
      const again = await use.tryCli(["rule", "approve", name, "--chunk-id", a], { of: place })
      equal(again.code, 1, `${again.stdout}${again.stderr}`)
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
]
