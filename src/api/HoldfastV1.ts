/** Our own wire for operators: which method of it asks for which operation. */
import { admin } from "../wire/holdfast-v1/Admin.ts"
import { adminOperations } from "./AdminMethods.ts"
import { bind } from "./Endpoint.ts"

export const holdfastV1 = [
  bind(admin.clusterStatus, adminOperations.clusterStatus),
  bind(admin.locateSandbox, adminOperations.locateSandbox),
  bind(admin.drainReplica, adminOperations.drainReplica),
]
