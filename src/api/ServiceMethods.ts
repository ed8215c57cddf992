/** Services: expose a port of a sandbox, look at what is exposed, take it back. */
import { Effect, Option } from "effect"
import { NotFound } from "../domain/Errors.ts"
import type {
  ExposedService,
  NewService,
  ServiceEndpoint,
  ServiceName,
  ServiceQuery,
} from "../domain/Service.ts"
import { labelProblem, serviceUrl } from "../domain/ServiceHost.ts"
import { Services } from "../store/Services.ts"
import { openShellAccess as access } from "./Access.ts"
import { inWorkspace, listedWorkspace, sandboxByName } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import { ServiceSettings } from "./ServiceSettings.ts"
import { pageLimit, refuse, unfiltered } from "./Validate.ts"

const maxPort = 65_535

const exposed = (endpoint: ServiceEndpoint): Effect.Effect<ExposedService, never, ServiceSettings> =>
  Effect.map(ServiceSettings, ({ domains, publicUrl }) => ({
    endpoint,
    url: serviceUrl(
      { workspace: endpoint.workspace, sandbox: endpoint.sandboxName, service: endpoint.serviceName },
      domains[0],
      publicUrl,
    ),
  }))

const expose = unary(access.exposeService, (request: NewService, caller) =>
  Effect.gen(function* () {
    const { sandbox: name, service, targetPort } = request
    if (targetPort < 1 || targetPort > maxPort) return yield* refuse(`target_port must be in 1..=${maxPort}`)
    const problem = service === "" ? undefined : labelProblem(service)
    if (problem !== undefined) return yield* refuse(`service ${problem}`)
    const sandbox = yield* sandboxByName(caller, name, request.workspace)
    const services = yield* Services
    yield* services.expose({ sandboxId: sandbox.id, serviceName: service, targetPort })
    const stored = yield* services.find({ workspace: sandbox.workspace, sandbox: name, service })
    if (Option.isNone(stored)) return yield* new NotFound({ message: "sandbox not found" })
    return yield* exposed(stored.value)
  }),
)

const get = unary(access.getService, (request: ServiceName, caller) =>
  Effect.gen(function* () {
    const workspace = yield* inWorkspace(caller, request.workspace)
    const found = yield* (yield* Services).find({ ...request, workspace })
    if (Option.isNone(found)) return yield* new NotFound({ message: "service endpoint not found" })
    return yield* exposed(found.value)
  }),
)

const list = unary(access.listServices, (request: ServiceQuery, caller) =>
  Effect.gen(function* () {
    const { sandbox } = request
    yield* unfiltered(request.allWorkspaces, { workspace: request.workspace, sandbox })
    const workspace = yield* listedWorkspace(caller, request)
    const found = yield* (yield* Services).list({
      workspace,
      sandbox: sandbox === "" ? Option.none() : Option.some(sandbox),
      limit: pageLimit(request.limit),
      offset: request.offset,
    })
    return yield* Effect.forEach(found, exposed)
  }),
)

const remove = unary(access.deleteService, (request: ServiceName, caller) =>
  Effect.gen(function* () {
    const workspace = yield* inWorkspace(caller, request.workspace)
    const services = yield* Services
    const found = yield* services.find({ ...request, workspace })
    return Option.isSome(found) && (yield* services.remove(found.value))
  }),
)

export const serviceOperations = { expose, get, list, delete: remove }
