/** The ports of a replica: gRPC for clients and supervisors, and health and metrics on one of their own. */
import { readFileSync } from "node:fs"
import { createServer, type RequestListener } from "node:http"
import { Clock, Context, Effect, Exit, Layer, Runtime, Schedule } from "effect"
import { type ApiServices, makeRouter } from "../api/Api.ts"
import { httpHandlers } from "../api/http/Routes.ts"
import type { HostPort } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { ClientPorts } from "../edge/ClientPorts.ts"
import { Drain } from "../edge/Drain.ts"
import { Metrics } from "../observe/Metrics.ts"
import { Database } from "../store/Database.ts"
import { createGrpcServer } from "../wire/grpc/GrpcServer.ts"
import type { GatewaySettings } from "./GatewaySettings.ts"

/** What the health port says. */
export class Readiness extends Context.Tag("holdfast/Readiness")<
  Readiness,
  { database: { healthy: boolean; latencyMs: number; error: string } }
>() {
  static layer = Layer.sync(Readiness, () => ({
    database: { healthy: false, latencyMs: 0, error: "not probed yet" },
  }))
}

const isLoopbackHost = (host: string) => host === "localhost" || host === "::1" || host.startsWith("127.")

const cannotListen = (address: HostPort, what: string, cause: unknown) =>
  new FailedPrecondition({
    message: `cannot listen for ${what} on ${address.host}:${address.port}: ${cause instanceof Error ? cause.message : cause}. Free the port or choose another.`,
  })

const readTls = ({ cert, key }: { readonly cert: string; readonly key: string }) =>
  Effect.try({
    try: () => ({ cert: readFileSync(cert), key: readFileSync(key) }),
    catch: (cause) =>
      new FailedPrecondition({
        message: `cannot read HOLDFAST_TLS_CERT or HOLDFAST_TLS_KEY: ${cause instanceof Error ? cause.message : cause}`,
      }),
  })

const clientListener = (settings: GatewaySettings, address: HostPort) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<ApiServices>()
    const loopback = isLoopbackHost(address.host)
    const server = createGrpcServer({
      router: makeRouter(runtime, loopback),
      ...(yield* httpHandlers(loopback)),
      ...(settings.tls === undefined ? {} : { tls: yield* readTls(settings.tls) }),
      onError: (error, context) =>
        Runtime.runFork(runtime)(
          Effect.logDebug("Connection error", error instanceof Error ? error.message : String(error)).pipe(
            Effect.annotateLogs({ ...context }),
          ),
        ),
    })
    const ports = yield* ClientPorts
    ports.add(server)
    yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => server.listen(address.port, address.host),
        catch: (cause) => cannotListen(address, "clients and supervisors", cause),
      }),
      // Whoever stops the replica has waited for what runs.
      () => Effect.promise(() => server.close(0)),
    )
    if (loopback)
      yield* Effect.logWarning(
        `Whoever reaches ${address.host}:${address.port} is the development user and may do everything: this listener is for one person's machine`,
      )
  })

export const clientListeners = (settings: GatewaySettings) =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      yield* Effect.forEach(settings.listen, (address) => clientListener(settings, address), {
        discard: true,
      })
    }),
  )

/** Probes the database for readiness and for its latency metric. */
export const probe = Layer.scopedDiscard(
  Effect.gen(function* () {
    const readiness = yield* Readiness
    const database = yield* Database
    const metrics = yield* Metrics
    yield* database.ping.pipe(
      Effect.timeout(limits.databaseProbeTimeoutMs),
      Effect.exit,
      Effect.tap((exit) => {
        if (Exit.isSuccess(exit)) {
          readiness.database = { healthy: true, latencyMs: exit.value, error: "" }
          metrics.databaseSeconds.observe(exit.value / 1000)
        } else readiness.database = { healthy: false, latencyMs: 0, error: "database unavailable" }
      }),
      Effect.repeat(Schedule.spaced(limits.databaseProbeMs)),
      Effect.forkScoped,
    )
  }),
)

const serveHealth = (address: HostPort, answer: RequestListener) =>
  Effect.suspend(() => {
    const server = createServer(answer)
    return Effect.acquireRelease(
      Effect.async<void, FailedPrecondition>((resume) => {
        server.once("error", (cause) =>
          resume(Effect.fail(cannotListen(address, "health and metrics", cause))),
        )
        server.listen(address.port, address.host, () => resume(Effect.void))
      }),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        }),
    )
  })

export const healthListener = (settings: GatewaySettings) =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      if (settings.metricsListen.length === 0) return
      const readiness = yield* Readiness
      const metrics = yield* Metrics
      const membership = yield* Membership
      const ownership = yield* Ownership
      const drain = yield* Drain
      const runtime = yield* Effect.runtime<never>()
      const startedAtMs = yield* Clock.currentTimeMillis

      const state = () => {
        const { draining, remaining } = Effect.runSync(drain.state)
        const proofAgeMs = ownership.proofAgeMs()
        const proven = proofAgeMs <= settings.fenceMs
        // From then on callers are refused: a balancer must not lead them back here.
        const fresh = proofAgeMs <= Math.min(limits.awayProofMs, settings.fenceMs)
        const joined = membership.find(settings.incarnation)?.draining === false
        const ready = !draining && joined && readiness.database.healthy && fresh
        return {
          ready,
          body: {
            status: draining ? "draining" : ready ? "ready" : "not ready",
            name: settings.name,
            incarnation: settings.incarnation,
            startedAtMs,
            ...(draining ? { drainRemaining: remaining } : {}),
            checks: {
              database: {
                status: readiness.database.healthy ? "healthy" : "unhealthy",
                latency_ms: readiness.database.latencyMs,
                ...(readiness.database.error === "" ? {} : { error: readiness.database.error }),
              },
              ownership: { status: proven ? "proven" : "fenced", proof_age_ms: proofAgeMs },
            },
          },
        }
      }

      const answer: RequestListener = (request, response) => {
        const json = (status: number, body: unknown) =>
          response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
        switch (request.url) {
          case "/healthz":
            return json(200, { status: "ok" })
          case "/readyz":
          case "/health": {
            const { ready, body } = state()
            return json(ready ? 200 : 503, body)
          }
          case "/metrics":
            void Runtime.runPromise(runtime)(Effect.all([membership.members, ownership.held]))
              .then(([members, held]) => {
                metrics.members.set(members.filter((member) => member.live).length)
                metrics.shards.set(held.size)
                return metrics.registry.metrics()
              })
              .then((text) =>
                response.writeHead(200, { "content-type": metrics.registry.contentType }).end(text),
              )
              .catch(() => json(500, { error: "the metrics could not be collected" }))
            return undefined
          default:
            return json(404, { error: "not found" })
        }
      }
      yield* Effect.forEach(settings.metricsListen, (address) => serveHealth(address, answer), {
        discard: true,
      })
    }),
  )
