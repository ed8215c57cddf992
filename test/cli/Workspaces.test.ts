/** `holdfast workspace` and `holdfast whoami` against operations on a store, in this process. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bind } from "../../src/api/Endpoint.ts"
import { identityOperations } from "../../src/api/IdentityMethods.ts"
import { developer } from "../../src/api/Principal.ts"
import { sandboxOperations } from "../../src/api/SandboxMethods.ts"
import { workspaceOperations } from "../../src/api/WorkspaceMethods.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { identity } from "../../src/wire/openshell-v1/Identity.ts"
import { sandboxes } from "../../src/wire/openshell-v1/Sandboxes.ts"
import { workspaces } from "../../src/wire/openshell-v1/Workspaces.ts"
import { type ApiServer, startApi } from "../kit/ApiServer.ts"
import { aSandbox, storeKit } from "../kit/Stores.ts"
import { commandLine } from "./InProcess.ts"

const kit = storeKit("sqlite")
let api: ApiServer
beforeAll(async () => {
  api = await startApi(kit.fresh(), { "": developer }, [
    bind(workspaces.create, workspaceOperations.create),
    bind(workspaces.get, workspaceOperations.get),
    bind(workspaces.list, workspaceOperations.list),
    bind(workspaces.addMember, workspaceOperations.addMember),
    bind(workspaces.removeMember, workspaceOperations.removeMember),
    bind(workspaces.listMembers, workspaceOperations.listMembers),
    bind(sandboxes.list, sandboxOperations.list),
    bind(identity.getCurrentUser, identityOperations.getCurrentUser),
  ])
}, 60_000)
afterAll(() => api?.stop(), 60_000)

const { holdfast, json } = commandLine(() => api.url)

describe("holdfast workspace", () => {
  it("creates, shows and lists workspaces", async () => {
    expect(await holdfast("workspace", "create", "lab", "--label", "team=a")).toEqual({
      code: 0,
      stdout: "",
      stderr: 'Created workspace "lab".\n',
    })
    expect(await json("workspace", "get", "lab")).toMatchObject({ name: "lab", phase: "Active" })
    expect((await holdfast("ws", "ls")).stdout).toMatch(/^NAME {6}PHASE {4}AGE\ndefault {3}Active.*\nlab /)
    expect((await holdfast("workspace", "list", "-l", "team=a", "-o", "name")).stdout).toBe("lab\n")
    expect((await holdfast("workspace", "get", "lab")).stdout).toMatch(
      /^Name: +lab\n[\s\S]*Labels: +team=a\n$/,
    )
  })

  it("says what is wrong, with the exit code of the error", async () => {
    const missing = await holdfast("workspace", "get", "nowhere")
    expect(missing).toMatchObject({ code: 5, stdout: "" })
    expect(missing.stderr).toContain("workspace 'nowhere' not found")
    expect((await holdfast("workspace", "create", "default")).code).toBe(6)
    expect((await holdfast("workspace", "create", "a--b")).code).toBe(2)
    expect((await holdfast("workspace", "member", "add", "bob", "--role", "king")).code).toBe(2)
  })

  it("adds, lists and removes members", async () => {
    expect(await holdfast("workspace", "member", "add", "alice", "--role", "admin")).toMatchObject({
      code: 0,
      stderr: '"alice" is admin of workspace "default".\n',
    })
    expect(await json("workspace", "member", "list")).toMatchObject([{ subject: "alice", role: "admin" }])
    expect((await holdfast("workspace", "member", "list")).stdout).toMatch(/^SUBJECT {3}ROLE/)
    expect((await holdfast("workspace", "member", "remove", "alice")).stderr).toContain("no longer a member")
    expect((await holdfast("workspace", "member", "remove", "alice")).stderr).toContain("was no member")
  })

  it("lists sandboxes of one workspace or of all", async () => {
    await api.run(
      Effect.flatMap(Sandboxes, (store) =>
        Effect.all([
          store.insert(aSandbox({ name: "here", labels: { tier: "1" } })),
          store.insert(aSandbox({ name: "there", workspace: "lab" })),
        ]),
      ),
    )
    const names = async (...more: ReadonlyArray<string>) =>
      (await holdfast("sandbox", "list", "-o", "name", ...more)).stdout
    expect(await names()).toBe("here\n")
    expect(await names("-w", "lab")).toBe("there\n")
    expect((await names("--all-workspaces")).split("\n").sort()).toEqual(["", "here", "there"])
    expect(await names("--all-workspaces", "--selector", "tier=1")).toBe("here\n")
  })
})

describe("holdfast whoami", () => {
  it("shows who the gateway takes the caller for", async () => {
    expect(await json("whoami")).toEqual({
      subject: "unauthenticated-local-dev",
      displayName: "Unauthenticated Local Dev",
      roles: ["openshell-user", "openshell-admin"],
      scopes: ["openshell:all"],
      identityProvider: "local_dev",
    })
    expect((await holdfast("whoami")).stdout).toMatch(/^Subject: +unauthenticated-local-dev\n/)
  })
})
