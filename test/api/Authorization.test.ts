/** Who may do what in a workspace, over a real listener whose callers the test names. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openShellAccess } from "../../src/api/Access.ts"
import { methodPaths } from "../../src/api/Api.ts"
import { bind } from "../../src/api/Endpoint.ts"
import { logOperations } from "../../src/api/LogMethods.ts"
import { visible } from "../../src/api/Lookup.ts"
import { authorize, developer, type Principal, type User } from "../../src/api/Principal.ts"
import { sandboxOperations } from "../../src/api/SandboxMethods.ts"
import { workspaceOperations } from "../../src/api/WorkspaceMethods.ts"
import type { WorkspaceRole } from "../../src/domain/Workspace.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { WorkspaceMembers } from "../../src/store/WorkspaceMembers.ts"
import { Workspaces } from "../../src/store/Workspaces.ts"
import { GrpcError } from "../../src/wire/grpc/GrpcError.ts"
import type { CalledMethod } from "../../src/wire/Method.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { logs } from "../../src/wire/openshell-v1/Logs.ts"
import { sandboxCalls, sandboxes } from "../../src/wire/openshell-v1/Sandboxes.ts"
import { workspaceCalls, workspaces } from "../../src/wire/openshell-v1/Workspaces.ts"
import { type ApiServer, asUser, startApi } from "../kit/ApiServer.ts"
import { callUnary } from "../kit/Calls.ts"
import { nobody } from "../kit/StatusTable.ts"
import { aSandbox, storeKit } from "../kit/Stores.ts"

const kit = storeKit("sqlite")

const user = (subject: string, changes: Partial<User> = {}): User => ({
  kind: "user",
  subject,
  displayName: subject,
  roles: ["openshell-user"],
  scopes: ["openshell:all"],
  identityProvider: "oidc",
  ...changes,
})

const users: Readonly<Record<string, User>> = {
  root: developer,
  alice: user("alice"),
  anna: user("anna"),
  mallory: user("mallory"),
  reader: user("alice", { scopes: ["workspace:read"] }),
}

const endpoints = [
  bind(workspaces.create, workspaceOperations.create),
  bind(workspaces.get, workspaceOperations.get),
  bind(workspaces.list, workspaceOperations.list),
  bind(workspaces.addMember, workspaceOperations.addMember),
  bind(workspaces.removeMember, workspaceOperations.removeMember),
  bind(workspaces.listMembers, workspaceOperations.listMembers),
  bind(sandboxes.get, sandboxOperations.get),
  bind(sandboxes.list, sandboxOperations.list),
  bind(logs.get, logOperations.get),
]

let api: ApiServer
const inLab = aSandbox({ name: "bench", workspace: "lab" })

beforeAll(async () => {
  api = await startApi(kit.fresh(), users, endpoints)
  await api.run(
    Effect.gen(function* () {
      const all = yield* Workspaces
      const members = yield* WorkspaceMembers
      for (const name of ["lab", "other", "closing"]) yield* all.create(name, {})
      const roles: ReadonlyArray<readonly [workspace: string, subject: string, role: WorkspaceRole]> = [
        ["lab", "alice", "user"],
        ["lab", "anna", "admin"],
        ["closing", "anna", "admin"],
      ]
      for (const [workspace, subject, role] of roles) yield* members.add(workspace, subject, role)
      yield* (yield* Sandboxes).insert(inLab)
      yield* all.terminate("closing")
    }),
  )
}, 60_000)
afterAll(() => api?.stop(), 60_000)

const call = <I, O>(as: string, method: CalledMethod<I, O>, request: I) => api.call(as, method, request)

const refusal = async (asked: Promise<unknown>): Promise<string> => {
  try {
    await asked
  } catch (error) {
    if (error instanceof GrpcError) return error.message
    throw error
  }
  return "not refused"
}

const everything = { limit: 0, offset: 0, labelSelector: "" }
const listed = { ...everything, workspace: "", allWorkspaces: false }

describe("a member of a workspace", () => {
  it("sees it and what is in it, by name and by id", async () => {
    expect(await call("alice", workspaceCalls.get, "lab")).toMatchObject({ name: "lab" })
    expect(await call("alice", sandboxCalls.get, { name: "bench", workspace: "lab" })).toMatchObject({
      id: inLab.id,
    })
    expect(await call("alice", sandboxCalls.list, { ...listed, workspace: "lab" })).toHaveLength(1)
    const page = await callUnary(
      api.connection,
      OpenShell.method.getSandboxLogs,
      { sandboxId: inLab.id },
      asUser("alice"),
    )
    expect(page.logs).toEqual([])
  })

  it("is listed no other workspace", async () => {
    const names = async (as: string) =>
      (await call(as, workspaceCalls.list, everything)).map(({ name }) => name)
    expect(await names("alice")).toEqual(["lab"])
    expect(await names("mallory")).toEqual([])
    expect(await names("root")).toEqual(["closing", "default", "lab", "other"])
  })

  it("may not look across workspaces", async () => {
    expect(await refusal(call("alice", sandboxCalls.list, { ...listed, allWorkspaces: true }))).toBe(
      "platform admin role required for cross-workspace operations",
    )
    expect(await call("root", sandboxCalls.list, { ...listed, allWorkspaces: true })).toHaveLength(1)
  })

  it("may not do what its role does not allow", async () => {
    const request = { workspace: "lab", subject: "bob", role: "user" } as const
    expect(await refusal(call("alice", workspaceCalls.addMember, request))).toBe(
      "workspace role 'admin' required in workspace 'lab'",
    )
    expect(await refusal(call("alice", workspaceCalls.create, { name: "mine", labels: {} }))).toBe(
      "role 'openshell-admin' required",
    )
    expect(await refusal(call("reader", sandboxCalls.get, { name: "bench", workspace: "lab" }))).toBe(
      "scope 'sandbox:read' required",
    )
  })
})

describe("who is no member", () => {
  it("is told so by name, and by id that there is no such sandbox", async () => {
    const text = "not a member of workspace 'lab'"
    expect(await refusal(call("mallory", workspaceCalls.get, "lab"))).toBe(text)
    expect(await refusal(call("mallory", sandboxCalls.get, { name: "bench", workspace: "lab" }))).toBe(text)
    expect(await refusal(call("mallory", sandboxCalls.get, { name: "x", workspace: "" }))).toBe(
      "not a member of workspace 'default'",
    )
    const byId = callUnary(
      api.connection,
      OpenShell.method.getSandboxLogs,
      { sandboxId: inLab.id },
      asUser("mallory"),
    )
    expect(await refusal(byId)).toBe("sandbox not found")
  })

  it("may not run commands in a sandbox of it, forward to it or revoke its tokens", async () => {
    for (const access of [
      openShellAccess.execSandbox,
      openShellAccess.execSandboxInteractive,
      openShellAccess.forwardTcp,
      openShellAccess.revokeSshSession,
    ]) {
      const asked = (principal: Principal) => api.run(Effect.either(visible({ principal, access }, inLab.id)))
      const hidden = { _tag: "NotFound", message: "sandbox not found" }
      expect(await asked(user("mallory"))).toMatchObject({ _tag: "Left", left: hidden })
      expect(await asked({ kind: "sandbox", sandboxId: nobody })).toMatchObject({
        _tag: "Left",
        left: { message: "cross-sandbox access denied: principal does not own this sandbox" },
      })
      for (const principal of [user("alice"), user("anna"), developer])
        expect(await asked(principal)).toMatchObject({ _tag: "Right" })
    }
  })

  it("and has no credentials is not let in at all", async () => {
    expect(await api.run(Effect.flip(authorize({ kind: "none" }, openShellAccess.getSandbox)))).toMatchObject(
      {
        _tag: "Unauthenticated",
        message: "missing authorization header",
      },
    )
    expect(await refusal(call("", workspaceCalls.get, "lab"))).toBe("missing authorization header")
  })
})

describe("an admin of a workspace", () => {
  it("adds and removes users, but makes nobody an admin", async () => {
    const member = { workspace: "lab", subject: "bob" }
    expect(await refusal(call("anna", workspaceCalls.addMember, { ...member, role: "admin" }))).toBe(
      "only platform admins can assign the workspace admin role",
    )
    expect(await call("anna", workspaceCalls.addMember, { ...member, role: "user" })).toMatchObject({
      subject: "bob",
      role: "user",
    })
    const query = { workspace: "lab", limit: 0, offset: 0 }
    const subjects = (await call("alice", workspaceCalls.listMembers, query)).map(({ subject }) => subject)
    expect(subjects.sort()).toEqual(["alice", "anna", "bob"])
    expect(await call("anna", workspaceCalls.removeMember, member)).toBe(true)
    expect(await call("anna", workspaceCalls.removeMember, member)).toBe(false)
  })

  it("may look at a workspace that is being deleted, and change nothing in it", async () => {
    expect(await call("anna", workspaceCalls.get, "closing")).toMatchObject({ name: "closing" })
    const request = { workspace: "closing", subject: "bob", role: "user" } as const
    expect(await refusal(call("anna", workspaceCalls.addMember, request))).toBe(
      "workspace 'closing' is being deleted",
    )
    expect(await refusal(call("root", workspaceCalls.addMember, request))).toBe(
      "workspace 'closing' is being deleted",
    )
  })
})

it("covers methods that are served", () => {
  for (const { path } of endpoints) expect(methodPaths).toContain(path)
})
