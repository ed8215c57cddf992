/** Exposed services, over a gateway's connection. Names of sandboxes are those of its workspace. */
import { Effect } from "effect"
import { limits } from "../domain/Limits.ts"
import type { ExposedService } from "../domain/Service.ts"
import { serviceCalls } from "../wire/openshell-v1/Services.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"

const repeatable = { repeatable: true } as const

/** Adds the endpoint, or gives it another port; `service` is empty for the unnamed one. */
export const exposeService = (
  gateway: GatewayClientService,
  request: { readonly sandbox: string; readonly service: string; readonly targetPort: number },
) => gateway.call(serviceCalls.expose, { ...request, workspace: gateway.workspace }, repeatable)

export const getService = (gateway: GatewayClientService, sandbox: string, service: string) =>
  gateway.call(serviceCalls.get, { sandbox, service, workspace: gateway.workspace }, repeatable)

/** Of one sandbox, of the workspace or of all; follows pages to the end. */
export const listServices = (
  gateway: GatewayClientService,
  options: { readonly sandbox?: string | undefined; readonly allWorkspaces?: boolean } = {},
): Effect.Effect<ReadonlyArray<ExposedService>, ClientError> =>
  Effect.gen(function* () {
    const { sandbox = "", allWorkspaces = false } = options
    const found: Array<ExposedService> = []
    while (true) {
      const page = yield* gateway.call(
        serviceCalls.list,
        {
          sandbox,
          allWorkspaces,
          workspace: allWorkspaces ? "" : gateway.workspace,
          limit: limits.listMax,
          offset: found.length,
        },
        repeatable,
      )
      found.push(...page)
      if (page.length < limits.listMax) return found
    }
  })

/** Whether there was one to delete. */
export const deleteService = (gateway: GatewayClientService, sandbox: string, service: string) =>
  gateway.call(serviceCalls.delete, { sandbox, service, workspace: gateway.workspace })
