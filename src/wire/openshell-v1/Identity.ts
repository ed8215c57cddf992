/** Health and identity (contract 2.1). */
import type { CurrentUser, GatewayInfo, Health, SeenHealth } from "../../domain/Identity.ts"
import { called, empty, nothing, served } from "../grpc/Protobuf.ts"
import { OpenShell, ServiceStatus } from "./Generated.ts"

const { method } = OpenShell

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

const statuses: { readonly [S in ServiceStatus]: SeenHealth["status"] } = {
  [ServiceStatus.UNSPECIFIED]: "unspecified",
  [ServiceStatus.HEALTHY]: "healthy",
  [ServiceStatus.DEGRADED]: "degraded",
  [ServiceStatus.UNHEALTHY]: "unhealthy",
}

export const identityCalls = {
  health: called(
    method.health,
    empty,
    ({ status, version }): SeenHealth => ({ status: statuses[status] ?? "unknown", version }),
  ),

  getGatewayInfo: called(
    method.getGatewayInfo,
    empty,
    ({ gatewayVersion, computeDrivers }): GatewayInfo => ({
      version: gatewayVersion,
      drivers: computeDrivers.map(({ name, capabilities }) => ({
        name,
        version: capabilities?.driverVersion ?? "",
      })),
    }),
  ),

  getCurrentUser: called(
    method.getCurrentUser,
    empty,
    ({ subject, displayName, roles, scopes, identityProvider }): CurrentUser => ({
      subject,
      displayName,
      roles,
      scopes,
      identityProvider,
    }),
  ),
}
