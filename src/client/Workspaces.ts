/** Workspaces and their members, over a gateway's connection. */
import { Effect } from "effect"
import { limits } from "../domain/Limits.ts"
import type { MemberName, NewMember, NewWorkspace, Workspace, WorkspaceMember } from "../domain/Workspace.ts"
import { workspaceCalls } from "../wire/openshell-v1/Workspaces.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"

const repeatable = { repeatable: true } as const

/** Follows pages until the limit or the end. */
const pages = <A>(
  page: (offset: number, limit: number) => Effect.Effect<ReadonlyArray<A>, ClientError>,
  most = Number.POSITIVE_INFINITY,
): Effect.Effect<ReadonlyArray<A>, ClientError> =>
  Effect.gen(function* () {
    const found: Array<A> = []
    while (found.length < most) {
      const limit = Math.min(limits.listMax, most - found.length)
      const next = yield* page(found.length, limit)
      found.push(...next)
      if (next.length < limit) break
    }
    return found
  })

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
