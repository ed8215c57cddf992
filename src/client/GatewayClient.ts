/**
 * The gateway as an Effect service: typed calls over one connection that is made on demand and made again.
 *
 *   const program = Effect.gen(function* () {
 *     const gateway = yield* GatewayClient
 *     return yield* gateway.getSandbox("demo")
 *   })
 *   program.pipe(Effect.provide(GatewayClient.layer({ endpoint: { url: "http://127.0.0.1:17670" } })))
 */
import { Context, Effect, Layer, type Scope } from "effect"
import type { ClusterStatus, DrainRequest, DrainState, SandboxPlace } from "../domain/Cluster.ts"
import type { PublicError } from "../domain/Errors.ts"
import type { CurrentUser, GatewayInfo, SeenHealth } from "../domain/Identity.ts"
import { limits } from "../domain/Limits.ts"
import type { LogLine, Sandbox, SandboxSpec, SandboxTemplate } from "../domain/Sandbox.ts"
import type { NewSandbox } from "../domain/SandboxRequests.ts"
import type { SshSession } from "../domain/SshSession.ts"
import { call, type OpenCall, openCall } from "../wire/grpc/Calls.ts"
import type { CallOptions } from "../wire/grpc/GrpcClient.ts"
import { adminCalls } from "../wire/holdfast-v1/Admin.ts"
import type { CalledMethod } from "../wire/Method.ts"
import { identityCalls } from "../wire/openshell-v1/Identity.ts"
import { logCalls } from "../wire/openshell-v1/Logs.ts"
import { sandboxCalls } from "../wire/openshell-v1/Sandboxes.ts"
import { sshSessionCalls } from "../wire/openshell-v1/SshSessions.ts"
import { ConnectFailed } from "./ConnectFailed.ts"
import type { Endpoint } from "./Endpoint.ts"
import { Link } from "./Link.ts"
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

/** What is left out is empty. */
export interface CreateSandbox extends Partial<Pick<NewSandbox, "name" | "labels" | "annotations">> {
  readonly spec: Partial<Omit<SandboxSpec, "template">> & { readonly template?: Partial<SandboxTemplate> }
}

export interface GatewayClientService {
  readonly endpoint: Endpoint
  readonly workspace: string
  readonly health: Effect.Effect<SeenHealth, ClientError>
  readonly gatewayInfo: Effect.Effect<GatewayInfo, ClientError>
  readonly currentUser: Effect.Effect<CurrentUser, ClientError>
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
  readonly clusterStatus: Effect.Effect<ClusterStatus, ClientError>
  /** Drains a replica, or ends its drain; answers at once. Holdfast gateways only. */
  readonly drainReplica: (request: DrainRequest) => Effect.Effect<DrainState, ClientError>
  /** Which replica owns a sandbox and which holds its session. Holdfast gateways only. */
  readonly locateSandbox: (sandboxId: string) => Effect.Effect<SandboxPlace, ClientError>
  /** A unary call of any method, asked once; with `repeatable` again when the connection breaks. */
  readonly call: <I, O>(
    method: CalledMethod<I, O>,
    request: I,
    options?: { readonly repeatable?: boolean },
  ) => Effect.Effect<O, ClientError>
  /** A streaming call; cancelled when its scope closes. */
  readonly open: <I, O>(
    method: CalledMethod<I, O>,
    options?: CallOptions,
  ) => Effect.Effect<OpenCall<I, O>, ClientError, Scope.Scope>
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
  <I, O>(method: CalledMethod<I, O>, request: I): Effect.Effect<O, ClientError> =>
    Effect.tryPromise({
      try: (signal) =>
        link.call((connection) => call(connection, method, request, { timeoutMs, signal }), {
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
  const page = (options: ListOptions, offset: number, limit: number) =>
    repeatable(sandboxCalls.list, {
      limit,
      offset,
      labelSelector: options.selector ?? "",
      allWorkspaces: options.allWorkspaces ?? false,
      workspace: options.allWorkspaces === true ? "" : workspace,
    })
  return {
    endpoint: link.endpoint,
    workspace,
    health: repeatable(identityCalls.health, undefined),
    gatewayInfo: repeatable(identityCalls.getGatewayInfo, undefined),
    currentUser: repeatable(identityCalls.getCurrentUser, undefined),
    createSandbox: (request) => once(sandboxCalls.create, wholeOf(request, workspace)),
    getSandbox: (name) => repeatable(sandboxCalls.get, { name, workspace }),
    listSandboxes: (options = {}) => listAll((offset, limit) => page(options, offset, limit), options.limit),
    deleteSandbox: (name) => once(sandboxCalls.delete, { name, workspace }),
    stopSandbox: (name) => repeatable(sandboxCalls.stop, { name, workspace }),
    startSandbox: (name) => repeatable(sandboxCalls.start, { name, workspace }),
    createSshSession: (sandboxId) => repeatable(sshSessionCalls.create, sandboxId),
    revokeSshSession: (token) => repeatable(sshSessionCalls.revoke, token),
    sandboxLogs: (sandboxId, query = {}) =>
      repeatable(logCalls.get, {
        sandboxId,
        workspace,
        lines: query.lines ?? 0,
        sinceMs: query.sinceMs ?? 0,
        sources: query.sources ?? [],
        minLevel: query.minLevel ?? "",
      }),
    clusterStatus: repeatable(adminCalls.clusterStatus, undefined),
    drainReplica: (request) => repeatable(adminCalls.drainReplica, request),
    locateSandbox: (sandboxId) =>
      repeatable(adminCalls.locateSandbox, { sandboxId, name: "", workspace: "" }),
    call: (method, request, options) =>
      options?.repeatable === true ? repeatable(method, request) : once(method, request),
    open: (method, options) =>
      Effect.acquireRelease(
        Effect.tryPromise({
          try: () => link.call(async (connection) => openCall(connection, method, options), { attempts: 1 }),
          catch: clientErrorOf,
        }),
        (opened) => Effect.sync(() => opened.cancel()),
      ),
    openStream: (request) => streaming((signal) => openStream(link, { ...request, signal })),
    openExecStream: (request) =>
      streaming((signal) => openStream(link, { ...request, kind: "exec", signal })),
    inWorkspace: (other) => serviceOver(link, other, timeoutMs),
  }
}

const wholeOf = ({ spec, ...request }: CreateSandbox, workspace: string): NewSandbox => {
  const { template, ...rest } = spec
  return {
    name: "",
    labels: {},
    annotations: {},
    ...request,
    workspace,
    spec: {
      logLevel: "",
      environment: {},
      providers: [],
      command: [],
      tty: false,
      ...rest,
      ...(template === undefined
        ? {}
        : {
            template: {
              image: "",
              runtimeClassName: "",
              agentSocket: "",
              labels: {},
              annotations: {},
              environment: {},
              ...template,
            },
          }),
    },
  }
}

const listAll = Effect.fn("client.listAll")(function* (
  page: (offset: number, limit: number) => Effect.Effect<ReadonlyArray<Sandbox>, ClientError>,
  wanted: number | undefined,
) {
  const found: Array<Sandbox> = []
  const most = wanted ?? Number.POSITIVE_INFINITY
  while (found.length < most) {
    const limit = Math.min(limits.listMax, most - found.length)
    const sandboxes = yield* page(found.length, limit)
    for (const sandbox of sandboxes) found.push(sandbox)
    if (sandboxes.length < limit) break
  }
  return found
})
