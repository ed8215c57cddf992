/** Provider profiles: those that come with the gateway. */
import { Effect } from "effect"
import { InvalidArgument, NotFound, Unimplemented } from "../domain/Errors.ts"
import { environmentKey } from "../domain/ExecRequest.ts"
import type {
  ProfileDiagnostic,
  ProfileDraft,
  ProfileDrafts,
  ProfileName,
  ProfilePage,
} from "../domain/ProviderProfile.ts"
import { profileOf, providerProfiles } from "../domain/ProviderProfiles.ts"
import { openShellAccess as access } from "./Access.ts"
import { inWorkspace } from "./Lookup.ts"
import { unary } from "./Operation.ts"
import * as Validate from "./Validate.ts"

const list = unary(access.listProviderProfiles, ({ limit, offset, workspace }: ProfilePage, caller) =>
  Effect.as(
    inWorkspace(caller, workspace),
    providerProfiles.slice(offset, offset + Validate.pageLimit(limit)),
  ),
)

const get = unary(access.getProviderProfile, ({ id, workspace }: ProfileName, caller) =>
  Effect.gen(function* () {
    if (id === "") return yield* new InvalidArgument({ message: "id is required" })
    yield* inWorkspace(caller, workspace)
    const profile = profileOf(id)
    if (profile === undefined) return yield* new NotFound({ message: `provider profile '${id}' not found` })
    return profile
  }),
)

const authStyles = ["", "bearer", "basic", "header", "query", "path"]

const faultsOf = (draft: ProfileDraft): ReadonlyArray<readonly [field: string, message: string]> => {
  const faults: Array<readonly [string, string]> = []
  if (!/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(draft.id))
    faults.push(["id", "must hold lowercase letters, digits, '.', '_' and '-'"])
  else if (profileOf(draft.id) !== undefined) faults.push(["id", `'${draft.id}' is a built-in profile`])
  if (draft.displayName === "") faults.push(["display_name", "is required"])
  const names = draft.credentials.map(({ name }) => name)
  for (const [index, credential] of draft.credentials.entries()) {
    const field = `credentials[${index}]`
    if (credential.name === "") faults.push([`${field}.name`, "is required"])
    else if (names.indexOf(credential.name) !== index) faults.push([`${field}.name`, "is used twice"])
    for (const variable of credential.envVars)
      if (!environmentKey.test(variable)) faults.push([`${field}.env_vars`, `'${variable}' is no variable`])
    if (!authStyles.includes(credential.authStyle)) faults.push([`${field}.auth_style`, "is not known"])
    if (credential.authStyle === "header" && credential.headerName === "")
      faults.push([`${field}.header_name`, "is required with auth_style 'header'"])
  }
  for (const [index, endpoint] of draft.endpoints.entries()) {
    if (endpoint.host === "") faults.push([`endpoints[${index}].host`, "is required"])
    if (endpoint.port > 65_535) faults.push([`endpoints[${index}].port`, "is no port"])
  }
  return faults
}

const diagnosticsOf = (draft: ProfileDraft): ReadonlyArray<ProfileDiagnostic> =>
  faultsOf(draft).map(([field, message]) => ({
    source: draft.source,
    profileId: draft.id,
    field,
    message,
    severity: "error",
  }))

const lint = unary(access.lintProviderProfiles, ({ profiles, workspace }: ProfileDrafts, caller) =>
  Effect.as(inWorkspace(caller, workspace), profiles.flatMap(diagnosticsOf)),
)

const missing = (feature: string) =>
  Effect.fail(new Unimplemented({ message: `${feature} is not implemented by this gateway` }))

export const profileOperations = {
  list,
  get,
  lint,
  import: unary(access.importProviderProfiles, () => missing("provider profile import")),
  update: unary(access.updateProviderProfiles, () => missing("provider profile update")),
  delete: unary(access.deleteProviderProfile, () => missing("provider profile deletion")),
}
