/** Connections and calls to the gateway cluster, with the sandbox's token on each of them. */
import { readFile } from "node:fs/promises"
import { Effect, Random, Redacted, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import { Status, type StatusCode } from "../../domain/Status.ts"
import { call } from "../../wire/grpc/Calls.ts"
import { type ClientTlsOptions, GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import { type GrpcError, grpcError, toGrpcError } from "../../wire/grpc/GrpcError.ts"
import { plainUserAgent } from "../../wire/grpc/UserAgents.ts"
import type { CalledMethod } from "../../wire/Method.ts"
import type { TlsFiles } from "../SupervisorConfig.ts"
import { SupervisorError } from "../SupervisorError.ts"
import type { TokenStore } from "./Token.ts"

/** Failures that a later attempt may not meet (wire contract 1.3). */
const retryable: ReadonlySet<StatusCode> = new Set([
  Status.UNAVAILABLE,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
  Status.ABORTED,
  Status.INTERNAL,
  Status.UNKNOWN,
])

export const isRetryable = (error: GrpcError): boolean => retryable.has(error.code)

export class GatewayLink {
  readonly #endpoints: ReadonlyArray<string>
  readonly #tls: ClientTlsOptions | undefined
  readonly token: TokenStore
  readonly #userAgent: Readonly<Record<string, string>>

  constructor(
    endpoints: ReadonlyArray<string>,
    tls: ClientTlsOptions | undefined,
    token: TokenStore,
    extensions: boolean,
  ) {
    this.#endpoints = endpoints
    this.#tls = tls
    this.token = token
    this.#userAgent = extensions ? {} : { "user-agent": plainUserAgent }
  }

  /** A new connection to the first endpoint that answers, tried in random order. Not closed by a scope. */
  readonly dial: Effect.Effect<GrpcConnection, GrpcError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      yield* Effect.promise(() => this.token.reread())
      const order = [...(yield* Random.shuffle(this.#endpoints))]
      const attempts = order.map((url) =>
        this.#connect(url, order.length > 1 ? limits.supervisorEndpointTimeoutMs : limits.connectTimeoutMs),
      )
      return yield* attempts.reduce((first, next) => Effect.orElse(first, () => next))
    }),
  )

  /**
   * A new connection to the replica that a gateway named, or to the configured endpoints where that one does not
   * answer quickly. The name is held against the certificate like that of any endpoint.
   */
  dialAt(url: string): Effect.Effect<GrpcConnection, GrpcError> {
    const refusal = this.refusalOf(url)
    if (url === "" || refusal !== undefined) return this.dial
    return Effect.promise(() => this.token.reread()).pipe(
      Effect.zipRight(this.#connect(url, limits.supervisorRedirectTimeoutMs)),
      Effect.orElse(() => this.dial),
    )
  }

  /** Why a URL that a gateway named may not be dialled: the token goes there, so it is not sent with less protection. */
  refusalOf(url: string): string | undefined {
    if (url === "") return undefined
    const wanted = URL.canParse(this.#endpoints[0] ?? "") ? new URL(this.#endpoints[0] ?? "").protocol : ""
    if (!URL.canParse(url)) return "it is not a URL"
    const { protocol, username, password } = new URL(url)
    if (protocol !== wanted) return `it is not an ${wanted}// address`
    return username === "" && password === "" ? undefined : "it contains credentials"
  }

  /** A connection for the length of a scope. */
  readonly connection: Effect.Effect<GrpcConnection, GrpcError, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => this.dial),
    (connection) => Effect.sync(() => connection.destroy()),
  )

  /** One call on a connection of its own. */
  ask<I, O>(method: CalledMethod<I, O>, request: I): Effect.Effect<O, GrpcError> {
    return this.connection.pipe(
      Effect.flatMap((connection) => this.askOn(connection, method, request)),
      Effect.scoped,
      Effect.timeoutFail({
        duration: limits.supervisorCallTimeoutMs,
        onTimeout: () => grpcError(Status.DEADLINE_EXCEEDED, "no answer from the gateway in time"),
      }),
    )
  }

  /** One call on a connection that exists. */
  askOn<I, O>(
    connection: GrpcConnection,
    method: CalledMethod<I, O>,
    request: I,
  ): Effect.Effect<O, GrpcError> {
    return Effect.tryPromise({
      try: (signal) =>
        call(connection, method, request, { timeoutMs: limits.supervisorCallTimeoutMs, signal }),
      catch: toGrpcError,
    })
  }

  #connect(url: string, connectTimeoutMs: number): Effect.Effect<GrpcConnection, GrpcError> {
    return Effect.tryPromise({
      try: (signal) =>
        GrpcConnection.connect({
          url,
          connectTimeoutMs,
          keepalive: {
            intervalMs: limits.clientKeepaliveIntervalMs,
            timeoutMs: limits.clientKeepaliveTimeoutMs,
          },
          headers: () => ({
            authorization: `Bearer ${Redacted.value(this.token.current)}`,
            ...this.#userAgent,
          }),
          ...(this.#tls === undefined ? {} : { tls: this.#tls }),
          signal,
        }),
      catch: toGrpcError,
    })
  }
}

/** Reads the TLS files once, as their variables name them. */
export const readTls = (
  files: TlsFiles | undefined,
): Effect.Effect<ClientTlsOptions | undefined, SupervisorError> => {
  if (files === undefined) return Effect.succeed(undefined)
  const read = (variable: string, path: string): Effect.Effect<string, SupervisorError> =>
    Effect.tryPromise({
      try: () => readFile(path, "utf8"),
      catch: (cause) =>
        new SupervisorError({
          reason: "configuration",
          message: `${variable}: ${cause instanceof Error ? cause.message : "not readable"}`,
        }),
    })
  return Effect.gen(function* () {
    const { identity, serverName } = files
    const ca = yield* read("OPENSHELL_TLS_CA", files.ca)
    const name = serverName === undefined ? {} : { serverName }
    if (identity === undefined) return { ca, ...name }
    const cert = yield* read("OPENSHELL_TLS_CERT", identity.cert)
    return { ca, cert, key: yield* read("OPENSHELL_TLS_KEY", identity.key), ...name }
  })
}
