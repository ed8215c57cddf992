/** Sandboxes: create, look at, stop, start, delete. */
import { randomUUID } from "node:crypto"
import { Clock, Effect } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { limits } from "../domain/Limits.ts"
import type { NewSandbox, SandboxName, SandboxQuery } from "../domain/SandboxRequests.ts"
import { Driver } from "../driver/Driver.ts"
import * as Phase from "../sandbox/Phase.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { transaction } from "../store/Database.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { openShellAccess as access } from "./Access.ts"
import { type Caller, inWorkspace, listedWorkspace, sandboxByName } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { petname } from "./Petname.ts"
import { requireAttachable } from "./ProviderAttachment.ts"
import * as Validate from "./Validate.ts"

/** The main process of a sandbox that asks for none (wire contract 2.2). */
const defaultMain = { command: ["/bin/bash", "-l"], tty: true } as const

const create = (request: NewSandbox, caller: Caller) =>
  Effect.gen(function* () {
    const name = request.name === "" ? petname() : request.name
    const spec = {
      ...request.spec,
      ...(request.spec.command.length > 0 ? {} : defaultMain),
      providers: [...new Set(request.spec.providers)],
    }
    yield* Validate.objectName(name)
    yield* Validate.spec(spec)
    yield* Validate.metadata(request.labels, request.annotations)
    const workspace = yield* inWorkspace(caller, request.workspace)
    const nowMs = yield* Clock.currentTimeMillis
    const id = randomUUID()
    const driver = yield* Driver
    const tokens = yield* SandboxTokens
    const { token } = yield* tokens.mint(id)
    yield* driver.validate({ id, name, workspace, spec, token })
    const sandboxes = yield* Sandboxes
    const insert = sandboxes.insert({
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
    yield* spec.providers.length === 0
      ? insert
      : transaction(Effect.zipRight(requireAttachable(workspace, spec.providers), insert))
    const actors = yield* SandboxActors
    return yield* actors.ask(id, (actor) => actor.Provision(), limits.lifecycleTimeoutMs)
  })

const createSandbox = unary(access.createSandbox, (request: NewSandbox, caller) =>
  request.name === ""
    ? // A name of ours that is taken is no fault of the caller's.
      Effect.retry(create(request, caller), {
        times: limits.petnameAttempts,
        while: (error) => error._tag === "AlreadyExists",
      })
    : create(request, caller),
)

const getSandbox = unary(access.getSandbox, (request: SandboxName, caller) =>
  sandboxByName(caller, request.name, request.workspace),
)

const listSandboxes = unary(access.listSandboxes, (request: SandboxQuery, caller) =>
  Effect.gen(function* () {
    yield* Validate.unfiltered(request.allWorkspaces, { workspace: request.workspace })
    const selector = yield* Validate.labelSelector(request.labelSelector)
    const workspace = yield* listedWorkspace(caller, request)
    const sandboxes = yield* Sandboxes
    return yield* sandboxes.list({
      workspace,
      selector,
      limit: Validate.pageLimit(request.limit),
      offset: request.offset,
    })
  }),
)

const deleteSandbox = unary(access.deleteSandbox, (request: SandboxName, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxByName(caller, request.name, request.workspace)
    const actors = yield* SandboxActors
    return yield* actors.ask(sandbox.id, (actor) => actor.Delete(), limits.lifecycleTimeoutMs)
  }),
)

const stopSandbox = unary(access.stopSandbox, (request: SandboxName, caller) =>
  Effect.gen(function* () {
    const { id } = yield* sandboxByName(caller, request.name, request.workspace)
    const actors = yield* SandboxActors
    return yield* actors.ask(id, (actor) => actor.Stop(), limits.lifecycleTimeoutMs)
  }),
)

const startSandbox = unary(access.startSandbox, (request: SandboxName, caller) =>
  Effect.gen(function* () {
    const { id } = yield* sandboxByName(caller, request.name, request.workspace)
    const actors = yield* SandboxActors
    return yield* actors.ask(id, (actor) => actor.Start(), limits.lifecycleTimeoutMs)
  }),
)

export const sandboxOperations = {
  create: createSandbox,
  get: getSandbox,
  list: listSandboxes,
  delete: deleteSandbox,
  stop: stopSandbox,
  start: startSandbox,
}
