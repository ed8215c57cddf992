/** Who the gateway is, who the caller is. */
import { Effect } from "effect"
import { PermissionDenied } from "../domain/Errors.ts"
import { Driver } from "../driver/Driver.ts"
import { OpenShell, ServiceStatus } from "../wire/OpenShell.ts"
import { openShellAccess as access } from "./Access.ts"
import { ApiSettings } from "./ApiSettings.ts"
import { unary } from "./Endpoint.ts"

const { method } = OpenShell

const health = unary(method.health, access.health, () =>
  Effect.map(ApiSettings, ({ version }) => ({ status: ServiceStatus.HEALTHY, version })),
)

const getGatewayInfo = unary(method.getGatewayInfo, access.getGatewayInfo, () =>
  Effect.gen(function* () {
    const { version } = yield* ApiSettings
    const driver = yield* Driver
    return {
      status: ServiceStatus.HEALTHY,
      gatewayVersion: version,
      computeDrivers: [
        {
          name: driver.name,
          capabilities: { driverName: driver.name, driverVersion: driver.version },
        },
      ],
    }
  }),
)

const getCurrentUser = unary(method.getCurrentUser, access.getCurrentUser, (_, { principal }) =>
  principal.kind === "user"
    ? Effect.succeed({
        subject: principal.subject,
        displayName: principal.displayName,
        roles: [...principal.roles],
        scopes: [...principal.scopes],
        identityProvider: principal.identityProvider,
      })
    : Effect.fail(new PermissionDenied({ message: "GetCurrentUser requires a user principal" })),
)

export const identityEndpoints = [health, getGatewayInfo, getCurrentUser]
