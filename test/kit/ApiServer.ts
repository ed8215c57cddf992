/** Operations behind a real listener on a store of their own, for callers whom the test names. */
import { Effect, Exit, Layer, Redacted, type Runtime, Scope, Tracer } from "effect"
import { type Common, type Endpoint, routerOf } from "../../src/api/Endpoint.ts"
import type { Identify, User } from "../../src/api/Principal.ts"
import { SandboxTokens } from "../../src/auth/SandboxTokens.ts"
import { Unauthenticated } from "../../src/domain/Errors.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import * as AttachedProviders from "../../src/policy/AttachedProviders.ts"
import { Configuration } from "../../src/policy/Configuration.ts"
import type { ProviderContribution } from "../../src/policy/ProviderContribution.ts"
import type { DatabaseConfig } from "../../src/store/Database.ts"
import * as Store from "../../src/store/Store.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { createGrpcServer } from "../../src/wire/grpc/GrpcServer.ts"
import type { CalledMethod } from "../../src/wire/Method.ts"
import { quiet } from "./Stores.ts"

const noTokens = Layer.succeed(SandboxTokens, {
  mint: () => Effect.succeed({ token: Redacted.make(""), expiresAtMs: 0 }),
  verify: () => Effect.fail(new Unauthenticated({ message: "invalid token: InvalidToken" })),
  jwks: {},
})

/** What the operations of a test may need. */
type Services = Store.Store | Common | Configuration | ProviderContribution

/** Which of the users makes a call. */
export const asUser = (name: string) => ({ metadata: { "x-test-user": name } })

export interface ApiServer {
  readonly url: string
  readonly connection: GrpcConnection
  readonly run: <A, E>(effect: Effect.Effect<A, E, Store.Store>) => Promise<A>
  readonly call: <I, O>(as: string, method: CalledMethod<I, O>, request: I) => Promise<O>
  /** SQL statements so far. */
  readonly statements: () => number
  readonly stop: () => Promise<void>
}

/** `users`: by the name that a call gives (`asUser`); under the empty name, who gives none. */
export const startApi = async (
  database: DatabaseConfig,
  users: Readonly<Record<string, User>>,
  endpoints: ReadonlyArray<Endpoint<Services>>,
): Promise<ApiServer> => {
  const identify: Identify = (call) => {
    const name = call.metadata["x-test-user"]
    const found = users[typeof name === "string" ? name : ""]
    return found === undefined
      ? Effect.fail(new Unauthenticated({ message: "missing authorization header" }))
      : Effect.succeed(found)
  }
  let statements = 0
  const counting = Layer.unwrapEffect(
    Effect.map(Effect.tracer, (native) =>
      Layer.setTracer(
        Tracer.make({
          span: (name, ...rest) => {
            if (name === "sql.execute") statements += 1
            return native.span(name, ...rest)
          },
          context: native.context,
        }),
      ),
    ),
  )
  const configuration = Layer.provideMerge(Configuration.layer, AttachedProviders.layer)
  const layer = configuration.pipe(
    Layer.provideMerge(Layer.mergeAll(Store.layer(database), Metrics.layer, noTokens)),
    Layer.provideMerge(Layer.mergeAll(quiet, counting)),
  )
  const scope = await Effect.runPromise(Scope.make())
  const runtime: Runtime.Runtime<Services> = await Effect.runPromise(
    Scope.extend(Layer.toRuntime(layer), scope),
  )
  const server = createGrpcServer({ router: routerOf<Services>(endpoints, runtime, identify) })
  const { port } = await server.listen(0, "127.0.0.1")
  const url = `http://127.0.0.1:${port}`
  const connection = await GrpcConnection.connect({ url })
  return {
    url,
    connection,
    run: (effect) => Effect.runPromise(Effect.provide(effect, runtime)),
    call: async (as, method, request) =>
      method.decodeResponse(await connection.unary(method.path, method.encodeRequest(request), asUser(as))),
    statements: () => statements,
    stop: async () => {
      connection.destroy()
      await server.close(100)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    },
  }
}
