/**
 * The gateway as an Effect service: typed calls over one connection that is made on demand and made again.
 *
 *   const program = Effect.gen(function* () {
 *     const gateway = yield* GatewayClient
 *     return yield* gateway.getSandbox("demo")
 *   })
 *   program.pipe(Effect.provide(GatewayClient.layer({ endpoint: { url: "http://127.0.0.1:17670" } })))
 */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Context, Effect, Layer, type Scope } from "effect"
import { Internal, type PublicError } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { LogLine, Sandbox } from "../domain/Sandbox.ts"
import type { CallOptions } from "../wire/grpc/GrpcClient.ts"
import { callUnary, openTyped, type TypedCall, type TypedMethod } from "../wire/grpc/Typed.ts"
import type {
  DrainReplicaResponse,
  GetClusterStatusResponse,
  LocateSandboxResponse,
} from "../wire/HoldfastV1.ts"
import { Admin } from "../wire/HoldfastV1.ts"
import type * as Wire from "../wire/OpenShell.ts"
import { OpenShell } from "../wire/OpenShell.ts"
import { ConnectFailed } from "./ConnectFailed.ts"
import type { Endpoint } from "./Endpoint.ts"
import { Link } from "./Link.ts"
import { logLineOf, sandboxOf } from "./SandboxMessages.ts"
import { publicErrorOfUnknown } from "./StatusErrors.ts"
import { type OpenStream, openStream, type StreamRequest } from "./Streams.ts"

/** What a call can fail with: the gateway's answer, or no connection to ask it. */
export type ClientError = PublicError | ConnectFailed

export interface GatewayClientOptions {
  readonly endpoint: Endpoint
  /** Default `default`. */
  readonly workspace?: string
  /** Deadline of unary calls, ms. */
  readonly timeoutMs?: number
}

export interface ListOptions {
  readonly selector?: string | undefined
  readonly allWorkspaces?: boolean | undefined
  /** At most this many; all when absent. */
  readonly limit?: number | undefined
}

export interface LogQuery {
  readonly lines?: number | undefined
  readonly sinceMs?: number | undefined
  readonly sources?: ReadonlyArray<string> | undefined
  readonly minLevel?: string | undefined
}

export interface SshSession {
  readonly token: string
  readonly sandboxId: string
  /** Unix milliseconds; 0 never expires. */
  readonly expiresAtMs: number
}

export type CreateSandbox = Omit<
  MessageInitShape<typeof Wire.CreateSandboxRequestSchema>,
  "workspace" | "$typeName"
>

export interface GatewayClientService {
  readonly endpoint: Endpoint
  readonly workspace: string
  readonly health: Effect.Effect<Wire.HealthResponse, ClientError>
  readonly gatewayInfo: Effect.Effect<Wire.GetGatewayInfoResponse, ClientError>
  readonly currentUser: Effect.Effect<Wire.GetCurrentUserResponse, ClientError>
  readonly createSandbox: (request: CreateSandbox) => Effect.Effect<Sandbox, ClientError>
  readonly getSandbox: (name: string) => Effect.Effect<Sandbox, ClientError>
  /** Follows pages until the limit or the end. */
  readonly listSandboxes: (options?: ListOptions) => Effect.Effect<ReadonlyArray<Sandbox>, ClientError>
  /** Whether there was one to delete. */
  readonly deleteSandbox: (name: string) => Effect.Effect<boolean, ClientError>
  readonly stopSandbox: (name: string) => Effect.Effect<Sandbox, ClientError>
  readonly startSandbox: (name: string) => Effect.Effect<Sandbox, ClientError>
  readonly createSshSession: (sandboxId: string) => Effect.Effect<SshSession, ClientError>
  readonly revokeSshSession: (token: string) => Effect.Effect<boolean, ClientError>
  readonly sandboxLogs: (
    sandboxId: string,
    query?: LogQuery,
  ) => Effect.Effect<ReadonlyArray<LogLine>, ClientError>
  /** Holdfast gateways only; UNIMPLEMENTED elsewhere. */
  readonly clusterStatus: Effect.Effect<GetClusterStatusResponse, ClientError>
  /** Drains a replica, or ends its drain; answers at once. Holdfast gateways only. */
  readonly drainReplica: (request: {
    readonly name: string
    readonly cancel: boolean
    /** 0 for the replica's own setting. */
    readonly deadlineMs: number
  }) => Effect.Effect<DrainReplicaResponse, ClientError>
  /** Which replica owns a sandbox and which holds its session. Holdfast gateways only. */
  readonly locateSandbox: (sandboxId: string) => Effect.Effect<LocateSandboxResponse, ClientError>
  /** A streaming call; cancelled when its scope closes. */
  readonly open: <I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    options?: CallOptions,
  ) => Effect.Effect<TypedCall<I, O>, ClientError, Scope.Scope>
  /** A byte stream into a sandbox that outlives replicas where the other side can; closed with its scope. */
  readonly openStream: (
    request: Omit<StreamRequest, "kind" | "signal"> & { readonly kind: "ssh" | "tcp" },
  ) => Effect.Effect<OpenStream, ClientError, Scope.Scope>
  /** The same for messages of ExecSandboxInteractive; undefined where only the calls run commands. */
  readonly openExecStream: (
    request: Omit<StreamRequest, "kind" | "signal">,
  ) => Effect.Effect<OpenStream | undefined, ClientError, Scope.Scope>
  /** The same connection for the names of another workspace. */
  readonly inWorkspace: (workspace: string) => GatewayClientService
}

export class GatewayClient extends Context.Tag("holdfast/client/GatewayClient")<
  GatewayClient,
  GatewayClientService
>() {
  static readonly make = (
    options: GatewayClientOptions,
  ): Effect.Effect<GatewayClientService, never, Scope.Scope> =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Link(options.endpoint)),
        (link) => Effect.sync(() => link.close()),
      ),
      (link) =>
        serviceOver(link, options.workspace ?? "default", options.timeoutMs ?? limits.clientCallTimeoutMs),
    )

  static readonly layer = (options: GatewayClientOptions): Layer.Layer<GatewayClient> =>
    Layer.scoped(GatewayClient, GatewayClient.make(options))
}

const clientErrorOf = (cause: unknown): ClientError =>
  cause instanceof ConnectFailed ? cause : publicErrorOfUnknown(cause)

/** A call that may be asked twice is asked again, on a new connection, when its connection breaks. */
const calling =
  (link: Link, timeoutMs: number, attempts: number) =>
  <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Effect.Effect<MessageShape<O>, ClientError> =>
    Effect.tryPromise({
      try: (signal) =>
        link.call((connection) => callUnary(connection, method, request, { timeoutMs, signal }), {
          attempts,
          signal,
        }),
      catch: clientErrorOf,
    })

/** Opens a stream that is closed with the scope; an interruption while it opens gives it up. */
const streaming = <A extends OpenStream | undefined>(
  open: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<A, ClientError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    restore(Effect.tryPromise({ try: open, catch: clientErrorOf })).pipe(
      Effect.tap((stream) => Effect.addFinalizer(() => Effect.promise(async () => stream?.close()))),
    ),
  )

const serviceOver = (link: Link, workspace: string, timeoutMs: number): GatewayClientService => {
  const once = calling(link, timeoutMs, 1)
  const repeatable = calling(link, timeoutMs, limits.clientCallAttempts)
  const service = OpenShell.method
  const page = (options: ListOptions, offset: number, limit: number) =>
    repeatable(service.listSandboxes, {
      limit,
      offset,
      labelSelector: options.selector ?? "",
      allWorkspaces: options.allWorkspaces ?? false,
      workspace: options.allWorkspaces === true ? "" : workspace,
    })
  return {
    endpoint: link.endpoint,
    workspace,
    health: repeatable(service.health, {}),
    gatewayInfo: repeatable(service.getGatewayInfo, {}),
    currentUser: repeatable(service.getCurrentUser, {}),
    createSandbox: (request) =>
      Effect.flatMap(once(service.createSandbox, { ...request, workspace }), present),
    getSandbox: (name) => Effect.flatMap(repeatable(service.getSandbox, { name, workspace }), present),
    listSandboxes: (options = {}) => listAll((offset, limit) => page(options, offset, limit), options.limit),
    deleteSandbox: (name) =>
      Effect.map(once(service.deleteSandbox, { name, workspace }), ({ deleted }) => deleted),
    stopSandbox: (name) => Effect.flatMap(repeatable(service.stopSandbox, { name, workspace }), present),
    startSandbox: (name) => Effect.flatMap(repeatable(service.startSandbox, { name, workspace }), present),
    createSshSession: (sandboxId) =>
      Effect.map(repeatable(service.createSshSession, { sandboxId }), (session) => ({
        token: session.token,
        sandboxId: session.sandboxId,
        expiresAtMs: Number(session.expiresAtMs),
      })),
    revokeSshSession: (token) =>
      Effect.map(repeatable(service.revokeSshSession, { token }), ({ revoked }) => revoked),
    sandboxLogs: (sandboxId, query = {}) =>
      Effect.map(
        repeatable(service.getSandboxLogs, {
          sandboxId,
          workspace,
          lines: query.lines ?? 0,
          sinceMs: BigInt(query.sinceMs ?? 0),
          sources: [...(query.sources ?? [])],
          minLevel: query.minLevel ?? "",
        }),
        ({ logs }) => logs.map(logLineOf),
      ),
    clusterStatus: repeatable(Admin.method.getClusterStatus, {}),
    drainReplica: (request) => repeatable(Admin.method.drainReplica, request),
    locateSandbox: (sandboxId) => repeatable(Admin.method.locateSandbox, { sandboxId }),
    open: (method, options) =>
      Effect.acquireRelease(
        Effect.tryPromise({
          try: () => link.call(async (connection) => openTyped(connection, method, options), { attempts: 1 }),
          catch: clientErrorOf,
        }),
        (call) => Effect.sync(() => call.cancel()),
      ),
    openStream: (request) => streaming((signal) => openStream(link, { ...request, signal })),
    openExecStream: (request) =>
      streaming((signal) => openStream(link, { ...request, kind: "exec", signal })),
    inWorkspace: (other) => serviceOver(link, other, timeoutMs),
  }
}

const present = (response: Wire.SandboxResponse): Effect.Effect<Sandbox, Internal> =>
  response.sandbox === undefined
    ? Effect.fail(new Internal({ message: "the gateway answered without the sandbox" }))
    : Effect.succeed(sandboxOf(response.sandbox))

const listAll = Effect.fn("client.listAll")(function* (
  page: (offset: number, limit: number) => Effect.Effect<Wire.ListSandboxesResponse, ClientError>,
  wanted: number | undefined,
) {
  const found: Array<Sandbox> = []
  const most = wanted ?? Number.POSITIVE_INFINITY
  while (found.length < most) {
    const limit = Math.min(limits.listMax, most - found.length)
    const { sandboxes } = yield* page(found.length, limit)
    for (const sandbox of sandboxes) found.push(sandboxOf(sandbox))
    if (sandboxes.length < limit) break
  }
  return found
})
