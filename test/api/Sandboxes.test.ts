/** Sandboxes through one gateway: what is stored comes back, and lives are told as they happen. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import {
  type ListSandboxesRequestSchema,
  OpenShell,
  SandboxPhase,
} from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"

const { method } = OpenShell

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 1, database: "sqlite", withoutSupervisors: true })
}, 60_000)
afterAll(() => cluster?.stop(), 60_000)

const connection = () => cluster.connection("replica-1")

const list = async (request: MessageInitShape<typeof ListSandboxesRequestSchema>) =>
  (await callUnary(await connection(), method.listSandboxes, request)).sandboxes.map(
    ({ metadata }) => `${metadata?.workspace}/${metadata?.name}`,
  )

const workspace = async (name: string) => callUnary(await connection(), method.createWorkspace, { name })

describe("a sandbox", () => {
  it("comes back with everything that it was created with", async () => {
    const spec = {
      logLevel: "debug",
      environment: { A: "1", EMPTY: "" },
      template: {
        image: "registry/image:1",
        runtimeClassName: "gvisor",
        agentSocket: "/run/agent.sock",
        labels: { app: "x" },
        annotations: { note: "any text\nat all" },
        environment: { B: "2" },
        resources: { limits: { cpu: "2", memory: "1Gi" }, counts: [1, 2.5, null, true] },
        userNamespaces: false,
        driverConfig: { nested: { deep: ["a", {}] } },
      },
      command: ["sleep", "--", "9"],
      tty: false,
    }
    const request = { name: "full", spec, labels: { "example.com/team": "a" }, annotations: { k: "v w" } }
    const created = await callUnary(await connection(), method.createSandbox, request)
    expect(created.sandbox?.status).toMatchObject({ phase: SandboxPhase.PROVISIONING, sandboxName: "full" })
    const { sandbox } = await callUnary(await connection(), method.getSandbox, { name: "full" })
    expect(sandbox?.metadata).toMatchObject({
      name: "full",
      workspace: "default",
      labels: request.labels,
      annotations: request.annotations,
      deletionTimestampMs: 0n,
    })
    expect(sandbox?.metadata?.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(Number(sandbox?.metadata?.createdAtMs)).toBeGreaterThan(Date.now() - 60_000)
    expect(sandbox?.metadata?.resourceVersion).toBeGreaterThan(0n)
    expect(sandbox?.spec).toMatchObject(spec)
  })

  it("gets a name, a login shell and a terminal where none are asked for", async () => {
    const { sandbox } = await callUnary(await connection(), method.createSandbox, { spec: {} })
    expect(sandbox?.metadata?.name).toMatch(/^[a-z]+-[a-z]+-\d{3}$/)
    expect(sandbox?.metadata?.name.length).toBeLessThanOrEqual(19)
    expect(sandbox?.spec).toMatchObject({ command: ["/bin/bash", "-l"], tty: true })
  })

  it("tells how its creation goes on, in events and in lines of the gateway's", async () => {
    const { sandbox } = await callUnary(await connection(), method.createSandbox, { name: "told", spec: {} })
    const id = sandbox?.metadata?.id ?? ""
    const watch = openTyped(await connection(), method.watchSandbox)
    onTestFinished(() => watch.cancel())
    await watch.send({
      id,
      followLogs: true,
      followEvents: true,
      logTailLines: 200,
      eventTail: 50,
      logSources: ["gateway"],
    })
    const double = new SupervisorDouble({
      url: cluster.replica("replica-1").url,
      sandboxId: id,
      token: await cluster.token(id),
    })
    onTestFinished(() => double.vanish())
    await double.attach()
    const lines: Array<string> = []
    const steps: Array<string> = []
    while (lines.length < 3 || steps.length < 3) {
      const { payload } = (await watch.receive()) ?? { payload: { case: undefined } }
      if (payload.case === "log") lines.push(`${payload.value.source} ${payload.value.level}`)
      if (payload.case === "event") {
        const { metadata } = payload.value
        steps.push(
          ["complete_step", "complete_label", "active_step", "active_detail"]
            .map((key) => metadata[`openshell.progress.${key}`] ?? "-")
            .join(", "),
        )
      }
    }
    expect(lines).toEqual(["gateway INFO", "gateway INFO", "gateway INFO"])
    expect(steps).toEqual([
      "requesting_sandbox, Sandbox requested, starting_sandbox, process driver",
      "-, -, starting_sandbox, waiting for the supervisor",
      "starting_sandbox, Sandbox ready, -, -",
    ])
  })

  it("stops and starts, and is as content with a second request as with the first", async () => {
    const { sandbox } = await callUnary(await connection(), method.createSandbox, { name: "cycle", spec: {} })
    const id = sandbox?.metadata?.id ?? ""
    const attach = async () => {
      const double = new SupervisorDouble({
        url: cluster.replica("replica-1").url,
        sandboxId: id,
        token: await cluster.token(id),
      })
      onTestFinished(() => double.vanish())
      await double.attach()
      await cluster.ready("cycle")
      return double
    }
    const request = { name: "cycle" }
    const stop = async () =>
      (await callUnary(await connection(), method.stopSandbox, request)).sandbox?.status?.phase
    const start = async () =>
      (await callUnary(await connection(), method.startSandbox, request)).sandbox?.status?.phase
    const first = await attach()
    expect(await start()).toBe(SandboxPhase.READY)
    expect(await stop()).toBe(SandboxPhase.STOPPED)
    expect(await first.ended).toBeUndefined()
    expect(await stop()).toBe(SandboxPhase.STOPPED)
    expect(await start()).toBe(SandboxPhase.STARTING)
    expect(await start()).toBe(SandboxPhase.STARTING)
    await attach()
    expect(await stop()).toBe(SandboxPhase.STOPPED)
  })

  it("of one name may be in each workspace, and is gone from all lists once it is deleted", async () => {
    await workspace("twin")
    const make = async (name: string, where: string, tier: string) =>
      callUnary(await connection(), method.createSandbox, {
        name,
        workspace: where,
        spec: {},
        labels: { set: "twins", tier },
      })
    await make("one", "", "1")
    await make("one", "twin", "1")
    await make("two", "twin", "2")
    expect(await list({ workspace: "twin" })).toEqual(["twin/one", "twin/two"])
    expect(await list({ workspace: "twin", limit: 1, offset: 1 })).toEqual(["twin/two"])
    expect(await list({ allWorkspaces: true, labelSelector: "set=twins" })).toEqual([
      "default/one",
      "twin/one",
      "twin/two",
    ])
    expect(await list({ allWorkspaces: true, labelSelector: "set=twins,tier=1" })).toEqual([
      "default/one",
      "twin/one",
    ])
    const gone = await callUnary(await connection(), method.deleteSandbox, { name: "one", workspace: "twin" })
    expect(gone.deleted).toBe(true)
    expect(await list({ allWorkspaces: true, labelSelector: "set=twins,tier=1" })).toEqual(["default/one"])
    await expect(
      callUnary(await connection(), method.getSandbox, { name: "one", workspace: "twin" }),
    ).rejects.toMatchObject({ code: Status.NOT_FOUND, message: "sandbox not found" })
  })
})

describe("a workspace", () => {
  it("is deleted once it is empty, and its name can be used again", async () => {
    await workspace("brief")
    const inside = { name: "inside", workspace: "brief" }
    await callUnary(await connection(), method.createSandbox, { ...inside, spec: {} })
    await callUnary(await connection(), method.addWorkspaceMember, {
      workspace: "brief",
      principalSubject: "alice",
      role: 1,
    })
    const remove = async () => callUnary(await connection(), method.deleteWorkspace, { name: "brief" })
    await expect(remove()).rejects.toMatchObject({ code: Status.FAILED_PRECONDITION })
    await callUnary(await connection(), method.deleteSandbox, inside)
    expect((await remove()).deleted).toBe(true)
    await expect(remove()).rejects.toMatchObject({ code: Status.NOT_FOUND })
    const again = await workspace("brief")
    expect(again.workspace?.metadata).toMatchObject({ name: "brief", workspace: "" })
    const { members } = await callUnary(await connection(), method.listWorkspaceMembers, {
      workspace: "brief",
    })
    expect(members).toEqual([])
  })
})
