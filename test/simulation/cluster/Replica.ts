/** One simulated replica: the real edge, sessions, openers and actors over simulated locks, store and network. */

import { RpcClientError } from "@effect/rpc/RpcClientError"
import { Context, Effect, Layer, Redacted, Scope } from "effect"
import { SandboxTokens } from "../../../src/auth/SandboxTokens.ts"
import { ClusterConfig, type ClusterSettings } from "../../../src/cluster/ClusterConfig.ts"
import { type Member, Membership } from "../../../src/cluster/Membership.ts"
import { Ownership } from "../../../src/cluster/Ownership.ts"
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { Driver } from "../../../src/driver/Driver.ts"
import { edgesOver, type PeerEdge } from "../../../src/edge/EdgesOver.ts"
import { LocalEdge } from "../../../src/edge/LocalEdge.ts"
import { OwnerHints } from "../../../src/edge/OwnerHints.ts"
import { PeerArrivals } from "../../../src/edge/PeerArrivals.ts"
import { PeerLegs } from "../../../src/edge/PeerLegs.ts"
import { type OpenOptions, RelayOpener } from "../../../src/edge/RelayOpener.ts"
import type { Rendezvous } from "../../../src/edge/Rendezvous.ts"
import { SessionStream } from "../../../src/edge/SessionStream.ts"
import { splice } from "../../../src/edge/Splice.ts"
import { Metrics } from "../../../src/observe/Metrics.ts"
import { Arrivals } from "../../../src/sandbox/Arrivals.ts"
import { Edges, SessionGone } from "../../../src/sandbox/Edges.ts"
import { Residents } from "../../../src/sandbox/Residents.ts"
import { type ActorClient, over, SandboxActors } from "../../../src/sandbox/SandboxActors.ts"
import { SandboxSettings } from "../../../src/sandbox/SandboxSettings.ts"
import { GrpcError, grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { MessageReader } from "../../../src/wire/grpc/MessageReader.ts"
import { session } from "../../../src/wire/openshell-v1/Session.ts"
import { serverLeg } from "../../../src/wire/RelayLeg.ts"
import { Process } from "../kernel/Process.ts"
import { askOver } from "../network/Ask.ts"
import { SimCall, type SimStream } from "../network/SimStream.ts"
import { stores } from "../store/Stores.ts"
import { type ActorNeeds, Actors } from "./Actors.ts"
import type { Cluster } from "./Cluster.ts"
import { Locks } from "./Locks.ts"
import { simPeerLegs } from "./SimPeerLegs.ts"

/** Collectors of a process are registered once. */
const metrics = Context.get(Effect.runSync(Effect.scoped(Layer.build(Metrics.layer))), Metrics)

const nothingRead = { release: () => Buffer.alloc(0), ended: false }

type Services = LocalEdge | RelayOpener | SessionStream | SandboxActors | Arrivals | ActorNeeds

export class Replica {
  readonly name: string
  readonly incarnation: string
  readonly process: Process
  readonly locks: Locks
  readonly actors: Actors
  readonly rendezvous: Rendezvous
  /** Known once it is up. */
  services: Context.Context<Services> | undefined
  leaving = false
  readonly #cluster: Cluster
  readonly #membership: Context.Tag.Service<Membership>
  readonly #config: ClusterSettings

  constructor(cluster: Cluster, name: string, generation: number) {
    const { network, database, rules } = cluster
    this.#cluster = cluster
    this.name = name
    this.incarnation = `${name}/${generation}`
    this.process = new Process(cluster.kernel, name)
    this.rendezvous = rules.rendezvous(
      () => cluster.kernel.nowMs,
      (channelId) => cluster.watch.delivered(this, channelId),
    )
    this.#config = settingsOf(name, this.incarnation, cluster)
    this.#membership = Effect.runSync(
      Effect.map(Effect.scoped(Layer.build(Membership.layer)), (context) => Context.get(context, Membership)),
    )
    const self: Member = {
      ...this.#config.peerAdvertise,
      name,
      incarnation: this.incarnation,
      machineId: generation,
      url: "",
      version: "simulation",
      startedAtMs: this.process.wallMs,
      live: true,
      draining: false,
    }
    this.locks = new Locks({
      process: this.process,
      network,
      database,
      table: cluster.table,
      self,
      fenceMs: cluster.fenceMs,
      membership: this.#membership,
      shards: cluster.shards,
      stopActors: (shards, then) => this.actors.stop(shards, then),
    })
    this.actors = new Actors({
      process: this.process,
      shards: cluster.shards.length,
      serves: (shard) => this.locks.serves(shard),
      shardOf: cluster.shardOf,
      needs: () => this.#needs(),
      wrap: (actor, sandboxId) => cluster.watch.actor(rules.actor(actor, sandboxId)),
    })
    this.process.fork(this.#start())
  }

  get up(): boolean {
    return this.services !== undefined && this.process.state === "running" && !this.leaving
  }

  ask<A, E>(sandboxId: string, f: (actor: ActorClient) => Effect.Effect<A, E>, timeoutMs?: number) {
    return Effect.flatMap(this.#service(SandboxActors), (actors) => actors.ask(sandboxId, f, timeoutMs))
  }

  get edge(): LocalEdge["Type"] | undefined {
    return this.services === undefined ? undefined : Context.get(this.services, LocalEdge)
  }

  /** A supervisor's `ConnectSupervisor`. */
  acceptSession(sandboxId: string, stream: SimStream): void {
    const call = new SimCall(stream)
    const reader = new MessageReader(stream, limits.inboundMessageBytes)
    const receive = async () => {
      const message = await reader.read()
      return message === undefined ? undefined : session.connect.decodeRequest(message)
    }
    this.process.fork(
      Effect.flatMap(this.#service(SessionStream), (sessions) =>
        sessions.run(sandboxId, call, session.connect.encodeResponse, receive),
      ).pipe(
        Effect.flatMap((over) => Effect.promise(() => over)),
        Effect.matchEffect({
          onSuccess: () => Effect.sync(() => call.finish()),
          onFailure: (error) => Effect.sync(() => call.finish(statusOf(error))),
        }),
      ),
    )
  }

  /** A supervisor's `RelayStream`. */
  acceptRelay(sandboxId: string, channelId: string, stream: SimStream): void {
    const call = new SimCall(stream)
    this.process.fork(
      Effect.flatMap(this.#service(LocalEdge), (edge) =>
        edge
          .claim(sandboxId, channelId, call, nothingRead)
          .pipe(Effect.tap(() => Effect.sync(() => this.#cluster.watch.carries(this, channelId, stream)))),
      ).pipe(Effect.catchAll((error) => Effect.sync(() => call.finish(statusOf(error))))),
    )
  }

  /** A client's `ForwardTcp`. */
  acceptForward(options: OpenOptions, stream: SimStream): void {
    const call = new SimCall(stream)
    const cancelled = Effect.async<never, GrpcError>((resume) => {
      const gone = () => resume(Effect.fail(grpcError(Status.CANCELLED, "the client cancelled the call")))
      if (stream.destroyed) gone()
      else stream.once("close", gone)
      return Effect.sync(() => stream.off("close", gone))
    })
    this.process.fork(
      Effect.gen(this, function* () {
        const opener = yield* this.#service(RelayOpener)
        const opened = yield* Effect.raceFirst(opener.open(options), cancelled)
        const client = serverLeg(call, nothingRead)
        yield* Effect.promise(() => splice(client, opened.leg, { guardA: true, guardB: false }))
      }).pipe(
        Effect.scoped,
        Effect.catchAll((error) => Effect.sync(() => call.finish(statusOf(error)))),
      ),
    )
  }

  #service<I extends Services, S>(tag: Context.Tag<I, S>): Effect.Effect<S> {
    return Effect.suspend(() =>
      this.services === undefined ? Effect.never : Effect.succeed(Context.get(this.services, tag)),
    )
  }

  #needs(): Context.Context<ActorNeeds> {
    if (this.services === undefined) throw new Error("an actor was asked before its replica was up")
    return this.services
  }

  #start(): Effect.Effect<void> {
    const { network, database, rules } = this.#cluster
    const base = stores(database, this.process).pipe(
      Context.add(ClusterConfig, this.#config),
      Context.add(Membership, this.#membership),
      Context.add(Metrics, metrics),
      Context.add(Ownership, this.#cluster.provenBy(this, rules.ownership(this.locks.ownership))),
      Context.add(SandboxSettings, { sessionGraceMs: rules.sessionGraceMs }),
      Context.add(Driver, this.#cluster.driver(this)),
      Context.add(SandboxTokens, {
        mint: () => Effect.succeed({ token: Redacted.make("token"), expiresAtMs: 0 }),
        verify: (token: string) => Effect.succeed(token),
        jwks: {},
      }),
      Context.add(OwnerHints, {
        ownerOf: (shard) => this.locks.ownerOf(shard),
        learn: () => undefined,
      }),
      Context.add(
        PeerLegs,
        simPeerLegs(network, this, (incarnation) => this.#cluster.reach(incarnation)),
      ),
      Context.add(
        SandboxActors,
        over((sandboxId, f) => this.#attempt(sandboxId, f), this.#cluster.shardOf, this.locks.isFenced),
      ),
    )
    const edges = Layer.effectContext(
      Effect.map(LocalEdge, (edge) => {
        const over = edgesOver({
          incarnation: this.incarnation,
          membership: this.#membership,
          edge: this.#cluster.watched(this, edge),
          reach: (incarnation) => this.#reach(incarnation),
        })
        return Context.make(Edges, rules.edges(over.edges, this)).pipe(
          Context.add(PeerArrivals, over.peerArrivals),
        )
      }),
    )
    const layers = Layer.mergeAll(SessionStream.layer, RelayOpener.layer).pipe(
      Layer.provideMerge(
        Layer.project(Arrivals.layer, Arrivals, Arrivals, (arrivals) =>
          this.#cluster.watch.arrivals(rules.arrivals(arrivals)),
        ),
      ),
      Layer.provideMerge(edges),
      Layer.provideMerge(Layer.mergeAll(LocalEdge.layer, Residents.layer)),
      Layer.provide(Layer.succeedContext(base)),
    )
    return Effect.gen(this, function* () {
      const scope = yield* Scope.make()
      const built = yield* Layer.buildWithScope(layers, scope)
      this.services = Context.merge(base, built)
      this.locks.start()
      this.process.say(`is up as ${this.incarnation}`)
    })
  }

  #attempt<A, E>(sandboxId: string, f: (actor: ActorClient) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const owner = this.locks.ownerOf(this.#cluster.shardOf(sandboxId))
      if (owner === this.incarnation) return this.actors.receive(sandboxId, f)
      const replica = owner === undefined ? undefined : this.#cluster.reach(owner)
      if (owner === undefined || replica === undefined) return broken
      return askOver(
        this.#cluster.network,
        this.process,
        replica.process,
        replica.actors.receive(sandboxId, f),
        broken,
      ).pipe(Effect.raceFirst(Effect.zipRight(this.#membership.left(owner), broken)))
    })
  }

  #reach(incarnation: string): Effect.Effect<PeerEdge, SessionGone> {
    return Effect.suspend(() => {
      const member = this.#membership.find(incarnation)
      const peer = this.#cluster.reach(incarnation)
      if (member === undefined || peer === undefined)
        return Effect.fail(new SessionGone({ message: "that replica has left the cluster" }))
      const ask = <A, E>(f: (edge: LocalEdge["Type"]) => Effect.Effect<A, E>) =>
        askOver(
          this.#cluster.network,
          this.process,
          peer.process,
          Effect.flatMap(peer.#service(LocalEdge), (edge) => f(this.#cluster.watched(peer, edge))),
          unreached,
        )
      return Effect.succeed({
        open: (request) => ask((edge) => edge.open(request)),
        endSession: (request) => ask((edge) => edge.endSession(request)),
        slots: (request) => ask((edge) => edge.slots(request)),
        cut: (request) => ask((edge) => edge.cut(request)),
        stats: ask((edge) => edge.stats),
        attach: (arrivals) =>
          askOver(
            this.#cluster.network,
            this.process,
            peer.process,
            Effect.flatMap(peer.#service(Arrivals), (owner) => owner.attachAll(arrivals)),
            unreached,
          ),
      })
    })
  }
}

/** The cluster answers an ask whose socket broke with a defect, and sends it again. */
const broken = Effect.die(new Error("the socket of the owner broke"))

const unreached = Effect.fail(
  new RpcClientError({ reason: "Protocol", message: "no connection to the peer" }),
)

const statusOf = (error: { readonly message: string }): GrpcError =>
  error instanceof GrpcError ? error : grpcError(Status.UNAVAILABLE, error.message)

const settingsOf = (name: string, incarnation: string, cluster: Cluster): ClusterSettings => ({
  clusterId: "simulation",
  name,
  incarnation,
  version: "simulation",
  databaseUrl: Redacted.make("postgres://simulation"),
  peerListen: { host: name, port: 1 },
  peerAdvertise: { host: name, port: 1 },
  url: "",
  peerTls: { ca: "", cert: "", key: "" },
  leaseMs: cluster.leaseMs,
  fenceMs: cluster.fenceMs,
})
