/** Workspaces, and who belongs to them. */
import { Effect, Option } from "effect"
import { type InvalidArgument, PermissionDenied } from "../domain/Errors.ts"
import type {
  MemberName,
  MembersQuery,
  NewMember,
  NewWorkspace,
  WorkspacesQuery,
} from "../domain/Workspace.ts"
import { endWorkspace } from "../reconcile/WorkspaceEnd.ts"
import { WorkspaceMembers } from "../store/WorkspaceMembers.ts"
import { Workspaces } from "../store/Workspaces.ts"
import { openShellAccess as access } from "./Access.ts"
import { inWorkspace, knownWorkspace } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { isPlatformAdmin } from "./Principal.ts"
import * as Validate from "./Validate.ts"

const create = unary(access.createWorkspace, ({ name, labels }: NewWorkspace) =>
  Effect.gen(function* () {
    if (name === "") return yield* Validate.refuse("name is required")
    yield* Validate.objectName(name)
    yield* Validate.labels(labels)
    return yield* (yield* Workspaces).create(name, labels)
  }),
)

const get = unary(access.getWorkspace, (name: string, caller) =>
  name === "" ? Validate.refuse("name is required") : knownWorkspace(caller, name),
)

const list = unary(access.listWorkspaces, (query: WorkspacesQuery, { principal }) =>
  Effect.gen(function* () {
    const selector = yield* Validate.labelSelector(query.labelSelector)
    return yield* (yield* Workspaces).list({
      memberSubject:
        principal.kind === "user" && !isPlatformAdmin(principal)
          ? Option.some(principal.subject)
          : Option.none(),
      selector,
      limit: Validate.pageLimit(query.limit),
      offset: query.offset,
    })
  }),
)

const remove = unary(access.deleteWorkspace, (name: string) =>
  Effect.gen(function* () {
    if (name === "") return yield* Validate.refuse("name is required")
    const workspaces = yield* Workspaces
    yield* workspaces.terminate(name)
    return yield* endWorkspace(name)
  }),
)

const subjectOf = ({ subject }: MemberName): Effect.Effect<string, InvalidArgument> =>
  subject === ""
    ? Validate.refuse("principal_subject is required")
    : Effect.as(Validate.subject(subject), subject)

const addMember = unary(access.addWorkspaceMember, (request: NewMember, caller) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(request)
    const { role } = request
    if (role === undefined) return yield* Validate.refuse("role is required")
    const workspace = yield* inWorkspace(caller, request.workspace)
    if (role === "admin" && !isPlatformAdmin(caller.principal))
      return yield* new PermissionDenied({
        message: "only platform admins can assign the workspace admin role",
      })
    return yield* (yield* WorkspaceMembers).add(workspace, subject, role)
  }),
)

const removeMember = unary(access.removeWorkspaceMember, (request: MemberName, caller) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(request)
    const workspace = yield* inWorkspace(caller, request.workspace)
    return yield* (yield* WorkspaceMembers).remove(workspace, subject)
  }),
)

const listMembers = unary(access.listWorkspaceMembers, (query: MembersQuery, caller) =>
  Effect.gen(function* () {
    const workspace = yield* inWorkspace(caller, query.workspace)
    const { offset } = query
    return yield* (yield* WorkspaceMembers).list({
      workspace,
      limit: Validate.pageLimit(query.limit),
      offset,
    })
  }),
)

export const workspaceOperations = { create, get, list, delete: remove, addMember, removeMember, listMembers }
