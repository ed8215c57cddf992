/** Health and identity (contract 2.1). */
import type { CurrentUser, GatewayInfo, Health } from "../../domain/Identity.ts"
import { served } from "../grpc/Protobuf.ts"
import { OpenShell, ServiceStatus } from "../OpenShell.ts"

const { method } = OpenShell

const nothing = (): void => undefined

export const identity = {
  health: served(method.health, nothing, ({ version }: Health) => ({
    status: ServiceStatus.HEALTHY,
    version,
  })),

  getGatewayInfo: served(method.getGatewayInfo, nothing, ({ version, drivers }: GatewayInfo) => ({
    status: ServiceStatus.HEALTHY,
    gatewayVersion: version,
    computeDrivers: drivers.map((driver) => ({
      name: driver.name,
      capabilities: { driverName: driver.name, driverVersion: driver.version },
    })),
  })),

  getCurrentUser: served(method.getCurrentUser, nothing, (user: CurrentUser) => ({
    ...user,
    roles: [...user.roles],
    scopes: [...user.scopes],
  })),
}
