/** Who the gateway is, who the caller is. */
import { Effect } from "effect"
import { PermissionDenied } from "../domain/Errors.ts"
import type { CurrentUser, GatewayInfo, Health } from "../domain/Identity.ts"
import { Driver } from "../driver/Driver.ts"
import { openShellAccess as access } from "./Access.ts"
import { ApiSettings } from "./ApiSettings.ts"
import { unary } from "./Operation.ts"

const health = unary(access.health, () => Effect.map(ApiSettings, ({ version }): Health => ({ version })))

const getGatewayInfo = unary(access.getGatewayInfo, () =>
  Effect.gen(function* () {
    const { version } = yield* ApiSettings
    const { name, version: driverVersion } = yield* Driver
    return { version, drivers: [{ name, version: driverVersion }] } satisfies GatewayInfo
  }),
)

const getCurrentUser = unary(access.getCurrentUser, (_: unknown, { principal }) =>
  principal.kind === "user"
    ? Effect.succeed<CurrentUser>(principal)
    : Effect.fail(new PermissionDenied({ message: "GetCurrentUser requires a user principal" })),
)

export const identityOperations = { health, getGatewayInfo, getCurrentUser }
