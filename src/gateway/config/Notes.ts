/** Variables that were surely meant for a gateway and that this one does not read. Pure. */
import { editDistance } from "../../domain/Nearest.ts"
import { settingNames, variableOf } from "../SettingsTable.ts"
import type { Problem } from "./Problem.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** Settings of OpenShell 0.0.111 (wire contract, appendix B) that have no counterpart here. */
const withoutCounterpart = [
  "OPENSHELL_TLS_CLIENT_CA",
  "OPENSHELL_LOCAL_TLS_DIR",
  "OPENSHELL_OIDC_ISSUER",
  "OPENSHELL_OIDC_AUDIENCE",
  "OPENSHELL_OIDC_JWKS_TTL",
  "OPENSHELL_OIDC_ROLES_CLAIM",
  "OPENSHELL_OIDC_ADMIN_ROLE",
  "OPENSHELL_OIDC_USER_ROLE",
  "OPENSHELL_OIDC_SCOPES_CLAIM",
  "OPENSHELL_ENABLE_MTLS_AUTH",
  "OPENSHELL_GRPC_RATE_LIMIT_REQUESTS",
  "OPENSHELL_GRPC_RATE_LIMIT_WINDOW_SECONDS",
] as const

/** Of the command line and of supervisors. */
const others: ReadonlySet<string> = new Set(
  ["CONFIG", "GATEWAY", "WORKSPACE", "TOKEN", "TOKEN_FILE", "CLIENT_CA", "CLIENT_CERT", "CLIENT_KEY"].map(
    (name) => `HOLDFAST_${name}`,
  ),
)

/** Letters that may be wrong in a variable that is still taken for a mistyped one. */
const typingErrors = 2

const settingVariables: ReadonlySet<string> = new Set(settingNames.map(variableOf))

const meantBy = (variable: string): string | undefined =>
  variable.startsWith("HOLDFAST_") && !settingVariables.has(variable) && !others.has(variable)
    ? [...settingVariables].find((known) => editDistance(variable, known) <= typingErrors)
    : undefined

/** They change nothing: who starts a gateway may know better. */
export const notesOn = (environment: Environment): ReadonlyArray<Problem> =>
  Object.keys(environment)
    .filter((variable) => environment[variable] !== undefined && environment[variable] !== "")
    .sort()
    .flatMap((where): ReadonlyArray<Problem> => {
      if (withoutCounterpart.some((known) => known === where))
        return [{ where, message: "this gateway has no such setting and does not read it" }]
      const meant = meantBy(where)
      return meant === undefined ? [] : [{ where, message: `no setting; did you mean ${meant}?` }]
    })
