/** Configuration and policies: what is in force, what changes it, and what supervisors made of it. */
import { Effect } from "effect"
import { InvalidArgument, PermissionDenied } from "../domain/Errors.ts"
import type {
  ConfigUpdate,
  PolicyListQuery,
  PolicyReport,
  PolicyStatusQuery,
} from "../domain/SandboxConfig.ts"
import { Configuration } from "../policy/Configuration.ts"
import { reportStatus, revisionStatus, revisions } from "../policy/Revisions.ts"
import { shapeRefusal } from "../policy/Settings.ts"
import { syncPolicy, updateGlobal, updateSandbox } from "../policy/Updates.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { openShellAccess as access } from "./Access.ts"
import { acrossWorkspaces, type Caller, sandboxById, sandboxByName, workspaceOf } from "./Lookup.ts"
import { unary } from "./Operation.ts"

const get = unary(access.getSandboxConfig, (sandboxId: string, context) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(context, sandboxId)
    const configuration = yield* Configuration
    return yield* configuration.of(sandbox)
  }),
)

const gateway = unary(access.getGatewayConfig, () =>
  Effect.flatMap(Configuration, (configuration) => configuration.gateway),
)

const notOwned = () => new PermissionDenied({ message: "sandbox not found or not owned by caller" })

/** The sandbox that calls, found by its own name: what it may know of others is nothing. */
export const callingSandbox = (sandboxId: string, name: string, workspace: string) =>
  Effect.gen(function* () {
    if (name === "") return yield* new InvalidArgument({ message: "name is required" })
    const sandboxes = yield* Sandboxes
    const found = yield* Effect.flatMap(sandboxes.get(sandboxId), (row) =>
      row._tag === "Some" ? Effect.succeed(row.value) : Effect.fail(notOwned()),
    )
    const isOwn = found.name === name && (workspace === "" || workspaceOf(workspace) === found.workspace)
    return isOwn ? found : yield* notOwned()
  })

/** Wire contract 3.10: of a sandbox, a policy with its name and workspace, and nothing else. */
const sync = (sandboxId: string, request: ConfigUpdate) =>
  Effect.gen(function* () {
    const { policy } = request
    const only =
      !request.global &&
      request.settingKey === "" &&
      request.settingValue === undefined &&
      !request.deleteSetting &&
      request.mergeOperations.length === 0 &&
      request.expectedResourceVersion === 0 &&
      Object.keys(request.annotations).length === 0
    if (!only || policy === undefined)
      return yield* new PermissionDenied({ message: "a sandbox may sync its own policy and nothing else" })
    const sandbox = yield* callingSandbox(sandboxId, request.name, request.workspace)
    return yield* syncPolicy(sandbox, request, policy)
  })

const update = unary(access.updateConfig, (request: ConfigUpdate, context) =>
  Effect.gen(function* () {
    const { principal } = context
    if (principal.kind === "sandbox") return yield* sync(principal.sandboxId, request)
    const refusal = shapeRefusal(request)
    if (refusal !== undefined) return yield* new InvalidArgument({ message: refusal })
    if (request.global) {
      yield* acrossWorkspaces(context)
      return yield* updateGlobal(request)
    }
    const sandbox = yield* sandboxByName(context, request.name, request.workspace)
    return yield* updateSandbox(sandbox, request)
  }),
)

/** The sandbox that is asked about, or undefined where the gateway's own policies are. */
const subject = (context: Caller, query: PolicyStatusQuery | PolicyListQuery) =>
  query.global
    ? Effect.as(acrossWorkspaces(context), undefined)
    : sandboxByName(context, query.name, query.workspace)

const policyStatus = unary(access.getSandboxPolicyStatus, (query: PolicyStatusQuery, context) =>
  Effect.flatMap(subject(context, query), (sandbox) => revisionStatus(sandbox, query.version)),
)

const policies = unary(access.listSandboxPolicies, (query: PolicyListQuery, context) =>
  Effect.flatMap(subject(context, query), (sandbox) => revisions(sandbox, query)),
)

const report = unary(access.reportPolicyStatus, (request: PolicyReport, context) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(context, request.sandboxId)
    return yield* reportStatus(sandbox, request)
  }),
)

export const configOperations = { get, gateway, update, policyStatus, policies, report }
