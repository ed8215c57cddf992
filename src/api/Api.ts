/**
 * The wires of a gateway, served side by side on the same ports: every method of each, by its path. A further wire
 * is a folder of `src/wire` and a binding file like `OpenShellV1.ts`, named here (docs/decisions/001-layers.md).
 */
import type { Runtime } from "effect"
import type { MethodHandler } from "../wire/grpc/GrpcServer.ts"
import { type Common, type Endpoint, routerOf } from "./Endpoint.ts"
import { holdfastV1 } from "./HoldfastV1.ts"
import { openShellV1 } from "./OpenShellV1.ts"
import { authenticator } from "./Principal.ts"

const wires = [openShellV1, holdfastV1]

const endpoints = wires.flat()

/** The methods that are served, as `/package.Service/Method`; all others answer UNIMPLEMENTED. */
export const methodPaths: ReadonlyArray<string> = endpoints.map(({ path }) => path)

type ServicesOf<E> = E extends Endpoint<infer R> ? R : never

/** Everything the methods need. */
export type ApiServices = ServicesOf<(typeof endpoints)[number]> | Common

/** `loopbackListener`: the listener is bound to a loopback address and accepts the development principal. */
export const makeRouter = (
  runtime: Runtime.Runtime<ApiServices>,
  loopbackListener: boolean,
): ((path: string) => MethodHandler | undefined) =>
  routerOf<ApiServices>(endpoints, runtime, authenticator(loopbackListener))
