/** How much of OpenShell 0.0.111's wire is there, method by method. */
import type { DescMethod, DescService } from "@bufbuild/protobuf"
import { methodPaths } from "../../src/api/Api.ts"
import { methodPath } from "../../src/wire/grpc/Typed.ts"
import { Inference, OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { code, page, table } from "./Markdown.ts"

const refresh = "credential refresh strategies are not there; answers UNIMPLEMENTED with the feature's name"

/** Methods that are served and answer UNIMPLEMENTED all the same. */
const refusals: Readonly<Record<string, string>> = {
  configureProviderRefresh: refresh,
  rotateProviderCredential: refresh,
  deleteProviderRefresh: refresh,
  importProviderProfiles: "own profiles are not there; answers UNIMPLEMENTED with the feature's name",
  updateProviderProfiles: "own profiles are not there; answers UNIMPLEMENTED with the feature's name",
  deleteProviderProfile: "own profiles are not there; answers UNIMPLEMENTED with the feature's name",
}

/** What is missing of methods that work otherwise. Kept by hand. */
const gaps: Readonly<Record<string, string>> = {
  getProviderRefreshStatus: "every credential is static: its expiry is told, no refresh",
  listProviderProfiles: "the built-in profiles only",
  getProviderProfile: "the built-in profiles only",
  getSandboxConfig: "no middleware services; an invalid policy always fails closed",
  submitPolicyAnalysis: "proposals only; summaries of denials and of activity are not kept",
  issueSandboxToken: "refuses everyone: its callers, Kubernetes service accounts, are not known yet",
}

export type Support = "done" | "partial" | "not yet"

export interface MethodSupport {
  readonly service: DescService
  readonly method: DescMethod
  readonly support: Support
  readonly note: string
}

const served = new Set(methodPaths)

const supportOf = (service: DescService, method: DescMethod): MethodSupport => {
  const refusal = refusals[method.localName]
  const gap = gaps[method.localName]
  if (!served.has(methodPath(method))) return { service, method, support: "not yet", note: "" }
  if (refusal !== undefined) return { service, method, support: "not yet", note: refusal }
  return { service, method, support: gap === undefined ? "done" : "partial", note: gap ?? "" }
}

/** All methods of OpenShell's two services. */
export const support: ReadonlyArray<MethodSupport> = [OpenShell, Inference].flatMap((service) =>
  service.methods.map((method) => supportOf(service, method)),
)

const countOf = (wanted: Support): number => support.filter((one) => one.support === wanted).length

/** Names in the hand-kept tables that no method has. */
export const strayNotes: ReadonlyArray<string> = [...Object.keys(refusals), ...Object.keys(gaps)].filter(
  (name) => support.every(({ method }) => method.localName !== name),
)

export const compatibilityPage = (): string =>
  page(
    "Methods of OpenShell 0.0.111",
    `Of ${support.length} methods ${countOf("done")} are done, ${countOf("partial")} partial, ${countOf("not yet")} not yet. ` +
      "A test asks a gateway for each of them and compares its answer with this table.",
    table(
      ["service", "method", "state", "what is missing"],
      support.map(({ service, method, support: state, note }) => [
        service.name,
        code(method.name),
        state,
        note,
      ]),
    ),
  )
