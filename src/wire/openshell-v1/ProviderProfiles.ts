/** Provider profiles (contract 2.8). */
import { create } from "@bufbuild/protobuf"
import { Internal } from "../../domain/Errors.ts"
import type {
  ProfileCategory,
  ProfileDiagnostic,
  ProfileDraft,
  ProfileDrafts,
  ProfileName,
  ProfilePage,
  ProviderProfile,
  SeenProfile,
} from "../../domain/ProviderProfile.ts"
import { called, empty, nothing, same, served } from "../grpc/Protobuf.ts"
import * as Wire from "./Generated.ts"

const { method } = Wire.OpenShell

const categories: { readonly [C in ProfileCategory]: Wire.ProviderProfileCategory } = {
  other: Wire.ProviderProfileCategory.OTHER,
  inference: Wire.ProviderProfileCategory.INFERENCE,
  agent: Wire.ProviderProfileCategory.AGENT,
  source_control: Wire.ProviderProfileCategory.SOURCE_CONTROL,
  messaging: Wire.ProviderProfileCategory.MESSAGING,
  data: Wire.ProviderProfileCategory.DATA,
  knowledge: Wire.ProviderProfileCategory.KNOWLEDGE,
}

const profileToWire = (profile: ProviderProfile) =>
  create(Wire.ProviderProfileSchema, {
    id: profile.id,
    displayName: profile.displayName,
    description: profile.description,
    category: categories[profile.category],
    credentials: profile.credentials.map((credential) => ({
      name: credential.name,
      description: credential.description,
      envVars: [...credential.envVars],
      required: credential.required,
      authStyle: credential.authStyle,
      headerName: credential.headerName,
    })),
    endpoints: profile.endpoints.map((endpoint) => ({ ...endpoint, enforcement: "enforce" })),
    inferenceCapable: profile.inference !== undefined,
    discovery: { credentials: profile.credentials.map(({ name }) => name) },
    source: "builtin",
    scope: "global",
  })

const seenOf = (wire: Wire.ProviderProfile | undefined): SeenProfile => {
  if (wire === undefined) throw new Internal({ message: "the gateway answered without the profile" })
  const known = Object.entries(categories).find(([, category]) => category === wire.category)
  return {
    id: wire.id,
    displayName: wire.displayName,
    description: wire.description,
    category: known?.[0] ?? "other",
    inferenceCapable: wire.inferenceCapable,
    credentials: wire.credentials.map(({ name, envVars }) => ({ name, envVars })),
    endpoints: wire.endpoints.map(({ host, port }) => `${host}:${port}`),
  }
}

const draftOf = ({ profile, source }: Wire.ProviderProfileImportItem): ProfileDraft => ({
  source,
  id: profile?.id ?? "",
  displayName: profile?.displayName ?? "",
  credentials: profile?.credentials ?? [],
  endpoints: profile?.endpoints ?? [],
})

export const profiles = {
  list: served(method.listProviderProfiles, same<ProfilePage>, (found: ReadonlyArray<ProviderProfile>) => ({
    profiles: found.map(profileToWire),
  })),
  get: served(method.getProviderProfile, same<ProfileName>, (profile: ProviderProfile) => ({
    profile: profileToWire(profile),
  })),
  lint: served(
    method.lintProviderProfiles,
    ({ profiles: items, workspace }): ProfileDrafts => ({ workspace, profiles: items.map(draftOf) }),
    (diagnostics: ReadonlyArray<ProfileDiagnostic>) => ({
      diagnostics: diagnostics.map((diagnostic) => ({ ...diagnostic })),
      valid: diagnostics.every(({ severity }) => severity !== "error"),
    }),
  ),
  import: served(method.importProviderProfiles, nothing, empty),
  update: served(method.updateProviderProfiles, nothing, empty),
  delete: served(method.deleteProviderProfile, nothing, empty),
}

export const profileCalls = {
  list: called(method.listProviderProfiles, same<ProfilePage>, (found) => found.profiles.map(seenOf)),
  get: called(method.getProviderProfile, same<ProfileName>, ({ profile }) => seenOf(profile)),
}
