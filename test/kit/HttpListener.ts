/** Listeners that route by host name; the way to the application is a connection on this machine. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { httpHandlers } from "../../src/api/http/Routes.ts"
import { ServiceGate } from "../../src/api/http/ServiceGate.ts"
import { ServiceRoutes } from "../../src/api/http/ServiceRoutes.ts"
import { ServiceSettings } from "../../src/api/ServiceSettings.ts"
import { SandboxTokens } from "../../src/auth/SandboxTokens.ts"
import { Unauthenticated } from "../../src/domain/Errors.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { createGrpcServer, type GrpcServer } from "../../src/wire/grpc/GrpcServer.ts"

const tokens = Layer.succeed(SandboxTokens, {
  mint: () => Effect.die("not asked"),
  verify: () => Effect.fail(new Unauthenticated({ message: "invalid token" })),
  jwks: { keys: [] },
})

export interface ListenerKind {
  readonly tls?: boolean
  /** Whether it is bound to loopback, as the gateway sees it. */
  readonly loopback?: boolean
  readonly loopbackHttp?: boolean
}

export interface HttpListener {
  readonly port: number
  readonly server: GrpcServer
  readonly stop: () => Promise<void>
}

/** A name below the only domain of these listeners. */
export const hostname = "w--s.apps.example"

/** All host names below `apps.example` lead to that port. */
export const startHttpListener = async (
  applicationPort: number,
  { tls = false, loopback = true, loopbackHttp = true }: ListenerKind = {},
): Promise<HttpListener> => {
  const gate = Layer.succeed(ServiceGate, {
    open: () => Effect.sync(() => connect({ port: applicationPort, host: "127.0.0.1", allowHalfOpen: true })),
  })
  const settings = Layer.succeed(ServiceSettings, {
    domains: ["apps.example"],
    publicUrl: "https://gateway.example",
    loopbackHttp,
  })
  const runtime = ManagedRuntime.make(
    Layer.merge(ServiceRoutes.layer, tokens).pipe(
      Layer.provide(Layer.mergeAll(gate, settings, Metrics.layer)),
    ),
  )
  const server = createGrpcServer({
    router: () => undefined,
    ...(await runtime.runPromise(httpHandlers(loopback))),
    ...(tls ? { tls: certificate() } : {}),
  })
  const { port } = await server.listen(0, "127.0.0.1")
  return {
    port,
    server,
    stop: async () => {
      await server.close(0)
      await runtime.dispose()
    },
  }
}

const certificate = () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-listener-"))
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
  execFileSync(
    "openssl",
    ["req", "-x509", ...curve, "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
    { stdio: "ignore" },
  )
  const made = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(folder, { recursive: true, force: true })
  return made
}
