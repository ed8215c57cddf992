/** Sandboxes: create, look at, stop, start, delete. */
import { randomUUID } from "node:crypto"
import { Clock, Effect, Option } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { InvalidArgument } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Driver } from "../driver/Driver.ts"
import * as Phase from "../sandbox/Phase.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { OpenShell } from "../wire/OpenShell.ts"
import { openShellAccess as access } from "./Access.ts"
import { unary } from "./Endpoint.ts"
import { byName, requireWorkspace } from "./Lookup.ts"
import { petname } from "./Petname.ts"
import { specFromWire, toWire } from "./SandboxCodec.ts"
import * as Validate from "./Validate.ts"

const { method } = OpenShell

const createSandbox = unary(method.createSandbox, access.createSandbox, (request) =>
  Effect.gen(function* () {
    if (request.spec === undefined) return yield* new InvalidArgument({ message: "spec is required" })
    const name = request.name === "" ? petname() : request.name
    const spec = specFromWire(request.spec)
    yield* Validate.sandboxName(name)
    yield* Validate.spec(spec)
    yield* Validate.metadata(request.labels, request.annotations)
    const workspace = yield* requireWorkspace(request.workspace)
    const nowMs = yield* Clock.currentTimeMillis
    const id = randomUUID()
    const driver = yield* Driver
    const tokens = yield* SandboxTokens
    const { token } = yield* tokens.mint(id)
    yield* driver.validate({ id, name, workspace, spec, token })
    const sandboxes = yield* Sandboxes
    yield* sandboxes.insert({
      id,
      workspace,
      name,
      createdAtMs: nowMs,
      deletionTimestampMs: 0,
      labels: request.labels,
      annotations: request.annotations,
      resourceVersion: 1,
      spec,
      status: Phase.initial(nowMs),
    })
    const actors = yield* SandboxActors
    const sandbox = yield* actors.ask(id, (actor) => actor.Provision(), limits.lifecycleTimeoutMs)
    return { sandbox: toWire(sandbox) }
  }),
)

const getSandbox = unary(method.getSandbox, access.getSandbox, (request) =>
  Effect.map(byName(request.name, request.workspace), (sandbox) => ({ sandbox: toWire(sandbox) })),
)

const listSandboxes = unary(method.listSandboxes, access.listSandboxes, (request) =>
  Effect.gen(function* () {
    if (request.allWorkspaces && request.workspace !== "")
      return yield* new InvalidArgument({
        message: "all_workspaces and workspace are mutually exclusive",
      })
    const selector = yield* Validate.labelSelector(request.labelSelector)
    const workspace = request.allWorkspaces
      ? Option.none<string>()
      : Option.some(yield* requireWorkspace(request.workspace))
    const sandboxes = yield* Sandboxes
    const page = yield* sandboxes.list({
      workspace,
      selector,
      limit: Validate.pageLimit(request.limit),
      offset: request.offset,
    })
    return { sandboxes: page.map(toWire) }
  }),
)

const deleteSandbox = unary(method.deleteSandbox, access.deleteSandbox, (request) =>
  Effect.gen(function* () {
    const sandbox = yield* byName(request.name, request.workspace)
    const actors = yield* SandboxActors
    const deleted = yield* actors.ask(sandbox.id, (actor) => actor.Delete(), limits.lifecycleTimeoutMs)
    return { deleted }
  }),
)

const stopSandbox = unary(method.stopSandbox, access.stopSandbox, (request) =>
  Effect.gen(function* () {
    const { id } = yield* byName(request.name, request.workspace)
    const actors = yield* SandboxActors
    const sandbox = yield* actors.ask(id, (actor) => actor.Stop(), limits.lifecycleTimeoutMs)
    return { sandbox: toWire(sandbox) }
  }),
)

const startSandbox = unary(method.startSandbox, access.startSandbox, (request) =>
  Effect.gen(function* () {
    const { id } = yield* byName(request.name, request.workspace)
    const actors = yield* SandboxActors
    const sandbox = yield* actors.ask(id, (actor) => actor.Start(), limits.lifecycleTimeoutMs)
    return { sandbox: toWire(sandbox) }
  }),
)

export const sandboxEndpoints = [
  createSandbox,
  getSandbox,
  listSandboxes,
  deleteSandbox,
  stopSandbox,
  startSandbox,
]
