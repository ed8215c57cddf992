/** Workspaces and their members, over a gateway's connection. */
import type { Effect } from "effect"
import type { MemberName, NewMember, NewWorkspace, Workspace, WorkspaceMember } from "../domain/Workspace.ts"
import { workspaceCalls } from "../wire/openshell-v1/Workspaces.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { pages } from "./Pages.ts"

const repeatable = { repeatable: true } as const

export const createWorkspace = (gateway: GatewayClientService, workspace: NewWorkspace) =>
  gateway.call(workspaceCalls.create, workspace)

export const getWorkspace = (gateway: GatewayClientService, name: string) =>
  gateway.call(workspaceCalls.get, name, repeatable)

/** Those that the caller may see, by name. */
export const listWorkspaces = (
  gateway: GatewayClientService,
  options: { readonly selector?: string | undefined; readonly limit?: number | undefined } = {},
): Effect.Effect<ReadonlyArray<Workspace>, ClientError> =>
  pages(
    (offset, limit) =>
      gateway.call(workspaceCalls.list, { offset, limit, labelSelector: options.selector ?? "" }, repeatable),
    options.limit,
  )

/** Whether there was one to delete. */
export const deleteWorkspace = (gateway: GatewayClientService, name: string) =>
  gateway.call(workspaceCalls.delete, name)

export const addWorkspaceMember = (gateway: GatewayClientService, member: NewMember) =>
  gateway.call(workspaceCalls.addMember, member)

/** Whether there was one to remove. */
export const removeWorkspaceMember = (gateway: GatewayClientService, member: MemberName) =>
  gateway.call(workspaceCalls.removeMember, member, repeatable)

export const listWorkspaceMembers = (
  gateway: GatewayClientService,
  workspace: string,
): Effect.Effect<ReadonlyArray<WorkspaceMember>, ClientError> =>
  pages((offset, limit) => gateway.call(workspaceCalls.listMembers, { workspace, offset, limit }, repeatable))
