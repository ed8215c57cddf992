import { afterEach } from "vitest"
import { type ConnectOptions, GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import {
  createGrpcServer,
  type GrpcServer,
  type GrpcServerOptions,
  type MethodHandler,
} from "../../../src/wire/grpc/GrpcServer.ts"

export interface Running {
  readonly server: GrpcServer
  readonly port: number
  readonly url: string
  /** What the server reported through `onError`. */
  readonly errors: Array<unknown>
}

const cleanups: Array<() => Promise<void>> = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A server on a free loopback port that ends with the test. */
export const startServer = async (
  methods: Readonly<Record<string, MethodHandler>>,
  options?: Partial<GrpcServerOptions>,
): Promise<Running> => {
  const errors: Array<unknown> = []
  const server = createGrpcServer({
    router: (path) => methods[path],
    onError: (error) => errors.push(error),
    ...options,
  })
  const { port } = await server.listen(0, "127.0.0.1")
  cleanups.push(() => server.close(0))
  return { server, port, url: `http://127.0.0.1:${port}`, errors }
}

/** A connection that ends with the test. */
export const connectTo = async (url: string, options?: Partial<ConnectOptions>): Promise<GrpcConnection> => {
  const connection = await GrpcConnection.connect({ url, ...options })
  cleanups.push(() => {
    connection.destroy()
    return connection.closed
  })
  return connection
}

/** The rejection of a promise that must fail. */
export const failureOf = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise
  } catch (cause) {
    return cause
  }
  throw new Error("expected a failure")
}
