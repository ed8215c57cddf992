/** Workspaces and their members (contract 2.6). */
import { create } from "@bufbuild/protobuf"
import { Internal } from "../../domain/Errors.ts"
import {
  isTerminating,
  type MemberName,
  type MembersQuery,
  type NewMember,
  type NewWorkspace,
  type Workspace,
  type WorkspaceMember,
  type WorkspaceRole,
  type WorkspacesQuery,
} from "../../domain/Workspace.ts"
import { called, same, served } from "../grpc/Protobuf.ts"
import * as Wire from "./Generated.ts"

const { method } = Wire.OpenShell

const roles: { readonly [R in WorkspaceRole]: Wire.WorkspaceRole } = {
  user: Wire.WorkspaceRole.USER,
  admin: Wire.WorkspaceRole.ADMIN,
}

const roleOf = (role: Wire.WorkspaceRole): WorkspaceRole | undefined => {
  if (role === Wire.WorkspaceRole.USER) return "user"
  return role === Wire.WorkspaceRole.ADMIN ? "admin" : undefined
}

const workspaceToWire = (workspace: Workspace) =>
  create(Wire.WorkspaceSchema, {
    metadata: {
      id: workspace.id,
      name: workspace.name,
      createdAtMs: BigInt(workspace.createdAtMs),
      labels: { ...workspace.labels },
      resourceVersion: BigInt(workspace.resourceVersion),
      deletionTimestampMs: BigInt(workspace.deletionTimestampMs),
    },
    status: {
      phase: isTerminating(workspace) ? Wire.WorkspacePhase.TERMINATING : Wire.WorkspacePhase.ACTIVE,
    },
  })

const workspaceOf = (wire: Wire.Workspace | undefined): Workspace => {
  if (wire?.metadata === undefined)
    throw new Internal({ message: "the gateway answered without the workspace" })
  const { id, name, labels, createdAtMs, resourceVersion, deletionTimestampMs } = wire.metadata
  return {
    id,
    name,
    labels,
    createdAtMs: Number(createdAtMs),
    resourceVersion: Number(resourceVersion),
    deletionTimestampMs: Number(deletionTimestampMs),
  }
}

const memberToWire = (member: WorkspaceMember) =>
  create(Wire.WorkspaceMemberSchema, {
    metadata: {
      id: member.id,
      name: member.subject,
      createdAtMs: BigInt(member.createdAtMs),
      resourceVersion: BigInt(member.resourceVersion),
      workspace: member.workspace,
    },
    principalSubject: member.subject,
    role: roles[member.role],
  })

const memberOf = (wire: Wire.WorkspaceMember | undefined): WorkspaceMember => {
  if (wire?.metadata === undefined) throw new Internal({ message: "the gateway answered without the member" })
  const { id, workspace, createdAtMs, resourceVersion } = wire.metadata
  return {
    id,
    workspace,
    subject: wire.principalSubject,
    role: roleOf(wire.role) ?? "user",
    createdAtMs: Number(createdAtMs),
    resourceVersion: Number(resourceVersion),
  }
}

const memberNameOf = ({ workspace, principalSubject }: { workspace: string; principalSubject: string }) =>
  ({ workspace, subject: principalSubject }) satisfies MemberName

const newMemberOf = (request: Wire.AddWorkspaceMemberRequest): NewMember => {
  const role = roleOf(request.role)
  return { ...memberNameOf(request), ...(role === undefined ? {} : { role }) }
}

const named = ({ name }: { readonly name: string }): string => name
const answered = (workspace: Workspace) => ({ workspace: workspaceToWire(workspace) })

export const workspaces = {
  create: served(method.createWorkspace, same<NewWorkspace>, answered),
  get: served(method.getWorkspace, named, answered),
  list: served(method.listWorkspaces, same<WorkspacesQuery>, (found: ReadonlyArray<Workspace>) => ({
    workspaces: found.map(workspaceToWire),
  })),
  delete: served(method.deleteWorkspace, named, (deleted: boolean) => ({ deleted })),
  addMember: served(method.addWorkspaceMember, newMemberOf, (member: WorkspaceMember) => ({
    member: memberToWire(member),
  })),
  removeMember: served(method.removeWorkspaceMember, memberNameOf, (removed: boolean) => ({ removed })),
  listMembers: served(
    method.listWorkspaceMembers,
    same<MembersQuery>,
    (members: ReadonlyArray<WorkspaceMember>) => ({ members: members.map(memberToWire) }),
  ),
}

const byName = (name: string) => ({ name })

export const workspaceCalls = {
  create: called(
    method.createWorkspace,
    ({ name, labels }: NewWorkspace) => ({ name, labels: { ...labels } }),
    ({ workspace }) => workspaceOf(workspace),
  ),
  get: called(method.getWorkspace, byName, ({ workspace }) => workspaceOf(workspace)),
  list: called(method.listWorkspaces, same<WorkspacesQuery>, (page) => page.workspaces.map(workspaceOf)),
  delete: called(method.deleteWorkspace, byName, ({ deleted }) => deleted),
  addMember: called(
    method.addWorkspaceMember,
    ({ workspace, subject, role }: NewMember) => ({
      workspace,
      principalSubject: subject,
      ...(role === undefined ? {} : { role: roles[role] }),
    }),
    ({ member }) => memberOf(member),
  ),
  removeMember: called(
    method.removeWorkspaceMember,
    ({ workspace, subject }: MemberName) => ({ workspace, principalSubject: subject }),
    ({ removed }) => removed,
  ),
  listMembers: called(method.listWorkspaceMembers, same<MembersQuery>, (page) => page.members.map(memberOf)),
}
