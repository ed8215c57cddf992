/** Inference routes, and what a sandbox gets of them (contract 2.11). */
import type {
  InferenceBundle,
  InferenceRoute,
  RouteDraft,
  RouteQuery,
  RouteSet,
  SeenRoute,
} from "../../domain/Inference.ts"
import { called, nothing, same, served } from "../grpc/Protobuf.ts"
import { Inference } from "./Generated.ts"
import { numberOf } from "./ProviderMessages.ts"

const { method } = Inference

const routeToWire = (route: InferenceRoute) => ({
  providerName: route.providerName,
  modelId: route.modelId,
  version: BigInt(route.version),
  routeName: route.routeName,
  timeoutSecs: BigInt(route.timeoutSecs),
  workspace: route.workspace,
})

export const inference = {
  set: served(
    method.setInferenceRoute,
    ({ $typeName: _, timeoutSecs, ...request }): RouteDraft => ({
      ...request,
      timeoutSecs: numberOf(timeoutSecs, "timeout_secs"),
    }),
    ({ route, validationPerformed, validatedEndpoints }: RouteSet) => ({
      ...routeToWire(route),
      validationPerformed,
      validatedEndpoints: validatedEndpoints.map((endpoint) => ({ ...endpoint })),
    }),
  ),
  get: served(method.getInferenceRoute, same<RouteQuery>, routeToWire),
  delete: served(method.deleteInferenceRoute, same<RouteQuery>, (deleted: boolean) => ({ deleted })),
  bundle: served(method.getInferenceBundle, nothing, (bundle: InferenceBundle) => ({
    routes: bundle.routes.map(({ timeoutSecs, protocols, ...route }) => ({
      ...route,
      protocols: [...protocols],
      timeoutSecs: BigInt(timeoutSecs),
    })),
    revision: bundle.revision,
    generatedAtMs: BigInt(bundle.generatedAtMs),
  })),
}

interface WireRoute {
  readonly providerName: string
  readonly modelId: string
  readonly version: bigint
  readonly routeName: string
  readonly timeoutSecs: bigint
  readonly workspace: string
}

const seenOf = (wire: WireRoute): SeenRoute => ({
  providerName: wire.providerName,
  modelId: wire.modelId,
  version: Number(wire.version),
  routeName: wire.routeName,
  timeoutSecs: Number(wire.timeoutSecs),
  workspace: wire.workspace,
})

export const inferenceCalls = {
  set: called(
    method.setInferenceRoute,
    ({ timeoutSecs, ...draft }: RouteDraft) => ({ ...draft, timeoutSecs: BigInt(timeoutSecs) }),
    (response) => ({
      route: seenOf(response),
      validationPerformed: response.validationPerformed,
      validatedEndpoints: response.validatedEndpoints.map(({ url, protocol }) => ({ url, protocol })),
    }),
  ),
  get: called(method.getInferenceRoute, same<RouteQuery>, seenOf),
  delete: called(method.deleteInferenceRoute, same<RouteQuery>, ({ deleted }) => deleted),
}
