/** The OpenShell 0.0.111 wire: which method of it asks for which operation. */
import { identity } from "../wire/openshell-v1/Identity.ts"
import { identityOperations } from "./IdentityMethods.ts"
import { bind } from "./Operation.ts"

export const openShellV1 = [
  bind(identity.health, identityOperations.health),
  bind(identity.getGatewayInfo, identityOperations.getGatewayInfo),
  bind(identity.getCurrentUser, identityOperations.getCurrentUser),
]
