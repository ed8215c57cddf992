/** The whole API of a listener: every implemented method, by its path. */
import type { Runtime } from "effect"
import type { MethodHandler } from "../wire/grpc/GrpcServer.ts"
import type { Common, Endpoint } from "./Endpoint.ts"
import { holdfastV1 } from "./HoldfastV1.ts"
import { openShellV1 } from "./OpenShellV1.ts"
import { authenticator } from "./Principal.ts"

const endpoints = [...openShellV1, ...holdfastV1]

/** The methods that are served, as `/package.Service/Method`; all others answer UNIMPLEMENTED. */
export const methodPaths: ReadonlyArray<string> = endpoints.map(({ path }) => path)

type ServicesOf<E> = E extends Endpoint<infer R> ? R : never

/** Everything the methods need. */
export type ApiServices = ServicesOf<(typeof endpoints)[number]> | Common

/** `loopbackListener`: the listener is bound to a loopback address and accepts the development principal. */
export const makeRouter = (runtime: Runtime.Runtime<ApiServices>, loopbackListener: boolean) => {
  const identify = authenticator(loopbackListener)
  const handlers = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint.bind(runtime, identify)]))
  return (path: string): MethodHandler | undefined => handlers.get(path)
}
