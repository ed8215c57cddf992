import { Clock, Effect } from "effect"
import { deleteService, exposeService, getService, listServices } from "../../client/Services.ts"
import { NotFound } from "../../domain/Errors.ts"
import { type ExposedService, endpointName } from "../../domain/Service.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { flag, operand, unlessNegated } from "../Options.ts"
import { print, printJson, printListing, printOutcome, renderFields, say } from "../Output.ts"
import { formatAge } from "../text/Duration.ts"
import type { Column } from "../text/Table.ts"

const serviceJson = ({ endpoint, url }: ExposedService): unknown => ({
  ...endpoint,
  url,
  createdAt: new Date(endpoint.createdAtMs).toISOString(),
})

const called = (sandbox: string, service: string): string =>
  service === "" ? `the service of sandbox "${sandbox}"` : `service "${service}" of sandbox "${sandbox}"`

const second = (invocation: Invocation, index: number): string => invocation.operands[index] ?? ""

export const serviceExpose: Implementation = (invocation) =>
  Effect.gen(function* () {
    const sandbox = operand(invocation, 0)
    const targetPort = Number(operand(invocation, 1))
    const service = second(invocation, 2)
    const gateway = yield* openGateway(invocation)
    const exposed = yield* exposeService(gateway, { sandbox, service, targetPort }).pipe(
      attempting(gateway, { action: `expose port ${targetPort} of sandbox "${sandbox}"`, sandbox }),
    )
    if (invocation.globals.output === "json") yield* printJson(serviceJson(exposed))
    else yield* print(`${exposed.url}\n`)
    return 0
  })

export const serviceGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const sandbox = operand(invocation, 0)
    const service = second(invocation, 1)
    const gateway = yield* openGateway(invocation)
    const found = yield* getService(gateway, sandbox, service).pipe(
      attempting(gateway, { action: `get ${called(sandbox, service)}` }),
    )
    const told = print(described(found, yield* Clock.currentTimeMillis))
    yield* printOutcome(invocation, { json: serviceJson(found), name: endpointName(found.endpoint), told })
    return 0
  })

const described = ({ endpoint, url }: ExposedService, nowMs: number): string =>
  renderFields([
    ["URL", url],
    ["Sandbox", endpoint.sandboxName],
    ["Service", endpoint.serviceName],
    ["Port", String(endpoint.targetPort)],
    ["Workspace", endpoint.workspace],
    ["ID", endpoint.id],
    [
      "Created",
      `${new Date(endpoint.createdAtMs).toISOString()} (${formatAge(nowMs - endpoint.createdAtMs)} ago)`,
    ],
  ])

const columns = (nowMs: number, withWorkspace: boolean): ReadonlyArray<Column<ExposedService>> => [
  ...(withWorkspace
    ? [{ heading: "WORKSPACE", value: ({ endpoint }: ExposedService) => endpoint.workspace }]
    : []),
  { heading: "SANDBOX", value: ({ endpoint }) => endpoint.sandboxName },
  { heading: "SERVICE", value: ({ endpoint }) => endpoint.serviceName },
  { heading: "PORT", value: ({ endpoint }) => String(endpoint.targetPort) },
  { heading: "URL", value: ({ url }) => url },
  { heading: "AGE", value: ({ endpoint }) => formatAge(nowMs - endpoint.createdAtMs) },
]

export const serviceList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const sandbox = second(invocation, 0)
    const allWorkspaces = flag(invocation, "allWorkspaces")
    const gateway = yield* openGateway(invocation)
    const rows = yield* listServices(gateway, { sandbox, allWorkspaces }).pipe(
      attempting(gateway, { action: "list services" }),
    )
    const where = sandbox === "" ? `in workspace "${gateway.workspace}"` : `in sandbox "${sandbox}"`
    yield* printListing(invocation, {
      rows,
      columns: columns(yield* Clock.currentTimeMillis, allWorkspaces),
      wide: [{ heading: "ID", value: ({ endpoint }) => endpoint.id }],
      json: serviceJson,
      name: ({ endpoint }) => endpointName(endpoint),
      empty: `No services${allWorkspaces ? "" : ` ${where}`}.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

export const serviceDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const sandbox = operand(invocation, 0)
    const service = second(invocation, 1)
    const gateway = yield* openGateway(invocation)
    yield* deleteService(gateway, sandbox, service).pipe(
      Effect.filterOrFail(
        (deleted) => deleted,
        () => new NotFound({ message: "service endpoint not found" }),
      ),
      attempting(gateway, { action: `delete ${called(sandbox, service)}` }),
    )
    if (invocation.globals.output === "json") yield* printJson({ deleted: true })
    else yield* say(`Deleted ${called(sandbox, service)}.`)
    return 0
  })
