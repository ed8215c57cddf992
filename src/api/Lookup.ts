/**
 * Finding what a request is about, and whether the caller may have it: the refusals of wire contract 1.3. What a
 * method asks for stands in the access table; here it is held against the caller's membership in the workspace.
 */
import { Effect, Option } from "effect"
import {
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  type Unavailable,
} from "../domain/Errors.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import {
  defaultWorkspace,
  isTerminating,
  type Workspace,
  type WorkspaceRole,
  workspaceNotFound,
  workspaceTerminating,
} from "../domain/Workspace.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { Workspaces } from "../store/Workspaces.ts"
import type { Access } from "./Access.ts"
import type { Context } from "./Operation.ts"
import { isPlatformAdmin, ownSandbox } from "./Principal.ts"

/** What of a call decides what it may see. */
export type Caller = Pick<Context, "principal" | "access">

export const workspaceOf = (workspace: string): string => (workspace === "" ? defaultWorkspace : workspace)

const isWrite = (access: Access): boolean =>
  (access.caller === "user" || access.caller === "either") && access.scope?.endsWith(":write") === true

const requiredRole = (access: Access): WorkspaceRole =>
  (access.caller === "user" || access.caller === "either") && access.role === "workspace-admin"
    ? "admin"
    : "user"

const refusalOf = (
  access: Access,
  name: string,
  role: Option.Option<WorkspaceRole>,
): Option.Option<PermissionDenied> => {
  if (Option.isNone(role))
    return Option.some(new PermissionDenied({ message: `not a member of workspace '${name}'` }))
  const required = requiredRole(access)
  return role.value === "admin" || required === "user"
    ? Option.none()
    : Option.some(
        new PermissionDenied({ message: `workspace role '${required}' required in workspace '${name}'` }),
      )
}

/** The workspace as it is stored, for a caller who may do this in it, even while it is being deleted. */
export const knownWorkspace = (
  { principal, access }: Caller,
  workspace: string,
): Effect.Effect<Workspace, NotFound | PermissionDenied | Unavailable, Workspaces> =>
  Effect.gen(function* () {
    const name = workspaceOf(workspace)
    const workspaces = yield* Workspaces
    const missing = () => new NotFound({ message: workspaceNotFound(name) })
    if (principal.kind !== "user" || isPlatformAdmin(principal))
      return yield* Option.match(yield* workspaces.get(name), { onNone: missing, onSome: Effect.succeed })
    const found = yield* workspaces.getFor(name, principal.subject)
    if (Option.isNone(found)) return yield* missing()
    const refusal = refusalOf(access, name, found.value.role)
    if (Option.isSome(refusal)) return yield* refusal.value
    return found.value.workspace
  })

/**
 * The name of the workspace of a request, `default` where it names none. Fails with NotFound, with
 * PermissionDenied for who is no member or has not the role, and for a write with FailedPrecondition while the
 * workspace is being deleted.
 */
export const inWorkspace = (
  caller: Caller,
  workspace: string,
): Effect.Effect<string, NotFound | PermissionDenied | FailedPrecondition | Unavailable, Workspaces> =>
  Effect.flatMap(knownWorkspace(caller, workspace), (found) =>
    isWrite(caller.access) && isTerminating(found)
      ? Effect.fail(new FailedPrecondition({ message: workspaceTerminating(found.name) }))
      : Effect.succeed(found.name),
  )

/** For requests about all workspaces at once. */
export const acrossWorkspaces = ({ principal }: Caller): Effect.Effect<void, PermissionDenied> =>
  isPlatformAdmin(principal)
    ? Effect.void
    : Effect.fail(
        new PermissionDenied({ message: "platform admin role required for cross-workspace operations" }),
      )

/** The workspace that a listing is about; none where it is about all of them. */
export const listedWorkspace = (
  caller: Caller,
  { allWorkspaces, workspace }: { readonly allWorkspaces: boolean; readonly workspace: string },
): Effect.Effect<
  Option.Option<string>,
  NotFound | PermissionDenied | FailedPrecondition | Unavailable,
  Workspaces
> =>
  allWorkspaces
    ? Effect.as(acrossWorkspaces(caller), Option.none())
    : Effect.asSome(inWorkspace(caller, workspace))

const hidden = () => new NotFound({ message: "sandbox not found" })

/** The sandbox of that name in the workspace, `default` where that is empty. A sandbox finds only itself. */
export const sandboxByName = (
  caller: Caller,
  name: string,
  workspace: string,
): Effect.Effect<
  Sandbox,
  InvalidArgument | NotFound | PermissionDenied | FailedPrecondition | Unavailable,
  Sandboxes | Workspaces
> =>
  Effect.gen(function* () {
    if (name === "") return yield* new InvalidArgument({ message: "name is required" })
    const { principal } = caller
    const sandboxes = yield* Sandboxes
    // A workspace with a sandbox in it exists and is not being deleted: who may see all needs no look at it.
    const bypass = principal.kind !== "user" || isPlatformAdmin(principal)
    if (!bypass) yield* inWorkspace(caller, workspace)
    const found = yield* sandboxes.getByName(workspaceOf(workspace), name)
    if (Option.isNone(found)) {
      if (bypass) yield* inWorkspace(caller, workspace)
      return yield* hidden()
    }
    yield* ownSandbox(principal, found.value.id)
    return found.value
  })

/**
 * The sandbox of that id. For users NotFound says both "missing" and "not yours"; a sandbox that asks for another
 * is refused. `missingText` answers an empty id.
 */
export const sandboxById = (
  caller: Caller,
  id: string,
  missingText = "sandbox_id is required",
): Effect.Effect<
  Sandbox,
  InvalidArgument | NotFound | PermissionDenied | Unavailable,
  Sandboxes | Workspaces
> =>
  Effect.gen(function* () {
    if (id === "") return yield* new InvalidArgument({ message: missingText })
    const { principal } = caller
    yield* ownSandbox(principal, id)
    const sandboxes = yield* Sandboxes
    const found = yield* sandboxes.get(id)
    if (Option.isNone(found)) return yield* hidden()
    if (principal.kind === "user" && !isPlatformAdmin(principal))
      yield* knownWorkspace(caller, found.value.workspace).pipe(
        Effect.catchTags({ NotFound: hidden, PermissionDenied: hidden }),
      )
    return found.value
  })

/** Refuses who may not see that sandbox; whether there is one is left to whoever acts on it. */
export const visible = (
  caller: Caller,
  id: string,
): Effect.Effect<
  void,
  InvalidArgument | NotFound | PermissionDenied | Unavailable,
  Sandboxes | Workspaces
> =>
  caller.principal.kind === "user" && !isPlatformAdmin(caller.principal)
    ? Effect.asVoid(sandboxById(caller, id))
    : ownSandbox(caller.principal, id)

export const requireReady = (sandbox: Sandbox): Effect.Effect<void, FailedPrecondition> =>
  sandbox.status.phase === "Ready"
    ? Effect.void
    : Effect.fail(new FailedPrecondition({ message: "sandbox is not ready" }))
