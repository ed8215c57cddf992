/** Workspaces and members (contract 1.3). */
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell, WorkspaceRole } from "../../../src/wire/openshell-v1/Generated.ts"
import { refuses, type StatusRow } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION } = Status

export const workspaceRows: ReadonlyArray<StatusRow> = [
  refuses(method.createWorkspace, "an empty name", { name: "" }, INVALID_ARGUMENT, "name is required"),
  refuses(
    method.createWorkspace,
    "a name with '--'",
    { name: "a--b" },
    INVALID_ARGUMENT,
    /must not contain '--'/,
  ),
  refuses(method.createWorkspace, "a long name", { name: "a".repeat(20) }, INVALID_ARGUMENT, /at most 19/),
  refuses(
    method.createWorkspace,
    "a label that is none",
    { name: "a", labels: { "": "" } },
    INVALID_ARGUMENT,
    /invalid label key/,
  ),
  refuses(
    method.createWorkspace,
    "a name that is taken",
    { name: "default" },
    ALREADY_EXISTS,
    "workspace already exists",
  ),
  refuses(method.getWorkspace, "an empty name", { name: "" }, INVALID_ARGUMENT, "name is required"),
  refuses(
    method.getWorkspace,
    "a name that is not there",
    { name: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  refuses(
    method.listWorkspaces,
    "a selector that is none",
    { labelSelector: "a" },
    INVALID_ARGUMENT,
    /label/,
  ),
  refuses(
    method.deleteWorkspace,
    "a name that is not there",
    { name: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  refuses(
    method.deleteWorkspace,
    "the default workspace",
    { name: "default" },
    FAILED_PRECONDITION,
    "the default workspace cannot be deleted",
  ),
  refuses(
    method.deleteWorkspace,
    "a workspace with something in it",
    { name: "used" },
    FAILED_PRECONDITION,
    "workspace 'used' still contains resources: 1 sandbox",
    {
      after: async (world) => {
        await world.workspace("used")
        await world.answer(method.createSandbox, [{ name: "inside", workspace: "used", spec: {} }])
      },
    },
  ),
  ...[method.addWorkspaceMember, method.removeWorkspaceMember].flatMap((one) => [
    refuses(
      one,
      "a request without a subject",
      { principalSubject: "" },
      INVALID_ARGUMENT,
      "principal_subject is required",
    ),
    refuses(
      one,
      "a subject that is too long",
      { principalSubject: "s".repeat(254) },
      INVALID_ARGUMENT,
      /principal_subject exceeds 253/,
    ),
  ]),
  refuses(
    method.addWorkspaceMember,
    "a request without a role",
    { principalSubject: "alice" },
    INVALID_ARGUMENT,
    "role is required",
  ),
  refuses(
    method.addWorkspaceMember,
    "a workspace that is not there",
    { principalSubject: "alice", role: WorkspaceRole.USER, workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  refuses(
    method.addWorkspaceMember,
    "who is a member already",
    { principalSubject: "bob", role: WorkspaceRole.ADMIN },
    ALREADY_EXISTS,
    "'bob' is already a member of workspace 'default'",
    {
      after: (world) =>
        world.answer(method.addWorkspaceMember, [{ principalSubject: "bob", role: WorkspaceRole.USER }]),
    },
  ),
  ...[method.removeWorkspaceMember, method.listWorkspaceMembers].map((one) =>
    refuses(
      one,
      "a workspace that is not there",
      { principalSubject: "alice", workspace: "nowhere" },
      NOT_FOUND,
      "workspace 'nowhere' not found",
    ),
  ),
]
