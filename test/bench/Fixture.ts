/**
 * What is measured: three replicas as processes, and sandboxes whose supervisors dial replicas of our choice.
 *
 * The process driver of the owner starts a sandbox's supervisor and tells it where to dial. On `replica-1` that
 * is `replica-1` itself, so sandboxes it owns have owner and session in one place, and the client's choice of
 * replica makes a relay local or through a peer. On the others it is the front door, over which a supervisor
 * finds another replica when its own dies.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import { type ClientError, GatewayClient, type GatewayClientService } from "../../src/client/GatewayClient.ts"
import { waitForPhase } from "../../src/client/Watch.ts"
import { mainModule } from "../../src/domain/Installation.ts"
import type { Sandbox } from "../../src/domain/Sandbox.ts"
import * as SandboxFiles from "../../src/driver/SandboxFiles.ts"
import * as LocalCluster from "../../src/local/LocalCluster.ts"
import * as Ports from "../../src/local/Ports.ts"
import { BenchError, failed } from "./BenchError.ts"

const replicas = 3
export const directReplica = "replica-1"

export interface Place {
  readonly sandbox: Sandbox
  readonly owner: string
  /** Empty while there is no session. */
  readonly holder: string
  /** Its supervisor dials the front door. */
  readonly roams: boolean
}

export interface Fixture {
  readonly cluster: LocalCluster.LocalCluster
  readonly client: (replica: string) => GatewayClientService
  readonly url: (replica: string) => string
  readonly names: ReadonlyArray<string>
  /** Creates sandboxes until one is in such a place; those made on the way stay for others. */
  readonly find: (
    what: string,
    accept: (place: Place) => boolean,
    via?: string,
  ) => Effect.Effect<Place, BenchError>
  /** Every replica is a live member, the shards are spread, and every sandbox has its session. */
  readonly settled: Effect.Effect<void, BenchError>
  readonly supervisorPid: (sandboxId: string) => Effect.Effect<number>
}

interface Made {
  readonly sandbox: Sandbox
  readonly roams: boolean
}

/** Where a cluster keeps its files: removed at the end, or kept with its logs. */
export const stateDirectory = (keep: boolean) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const directory = await mkdtemp(path.join(tmpdir(), "holdfast-bench-"))
      // Postgres runs as another account than root and must be able to enter.
      await chmod(directory, 0o711)
      return directory
    }),
    (directory) =>
      keep
        ? Effect.sync(() => process.stderr.write(`kept ${directory}\n`))
        : Effect.promise(() => rm(directory, { recursive: true, force: true })),
  )

const oftenSpaced = Schedule.spaced(50)
/** A replica's restart and the way back of its shards take about two seconds. */
const settleMs = 60_000
/** Sandboxes to try for a place; one in three has it. */
const tries = 36
const atOnce = 3

const profileFlags = (directory: string | undefined): ReadonlyArray<string> =>
  directory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${path.resolve(directory)}`]

/** How replicas are started when they are to be started otherwise than usual. */
export const gatewayCommand = ({
  nodeFlags,
  profile,
}: Pick<FixtureOptions, "nodeFlags" | "profile">): { readonly gatewayCommand?: ReadonlyArray<string> } => {
  const flags = [...nodeFlags, ...profileFlags(profile)]
  return flags.length === 0
    ? {}
    : { gatewayCommand: [process.execPath, ...flags, mainModule, "gateway", "run"] }
}

export interface FixtureOptions {
  /** Of the replicas. */
  readonly nodeFlags: ReadonlyArray<string>
  /** Directory for CPU profiles of the replicas. */
  readonly profile: string | undefined
  /** Leave the state directory behind, and log more. */
  readonly keep: boolean
}

export const start = (options: FixtureOptions): Effect.Effect<Fixture, BenchError, Scope.Scope> =>
  Effect.gen(function* () {
    const stateDir = yield* stateDirectory(options.keep)
    const port = yield* Effect.mapError(Ports.freeRange(replicas), failed("no free ports"))
    const directUrl = `http://${Ports.host}:${Ports.replicaPorts(port, 0).client}`
    const cluster = yield* LocalCluster.start({
      stateDir,
      replicas,
      port,
      database: "postgres",
      durability: "none",
      logLevel: options.keep ? "debug" : "warn",
      environment: (name) => (name === directReplica ? { HOLDFAST_SANDBOX_ENDPOINT: directUrl } : {}),
      ...gatewayCommand(options),
    }).pipe(Effect.mapError(failed("the cluster does not start")))

    const names = cluster.replicas().map(({ name }) => name)
    const clients = new Map<string, GatewayClientService>()
    for (const { name, url } of cluster.replicas())
      clients.set(name, yield* GatewayClient.make({ endpoint: { url }, timeoutMs: 5_000 }))
    const url = (replica: string) => cluster.replicas().find(({ name }) => name === replica)?.url ?? ""
    const client = (replica: string) => {
      const found = clients.get(replica)
      if (found === undefined) throw new BenchError({ message: `there is no replica ${replica}` })
      return found
    }

    const sandboxes: Array<Made> = []
    const locate = ({ sandbox, roams }: Made, via: string): Effect.Effect<Place, ClientError> =>
      Effect.map(client(via).locateSandbox(sandbox.id), ({ owner, sessionHolder }) => ({
        sandbox,
        owner,
        holder: sessionHolder,
        roams,
      }))
    const create = (via: string) =>
      Effect.gen(function* () {
        const name = `bench-${sandboxes.length}-${via.slice(-1)}`
        const created = yield* client(via).createSandbox({ name, spec: { command: ["sleep", "infinity"] } })
        const sandbox = yield* waitForPhase(client(via), created, { phase: "Ready", timeoutMs: 30_000 })
        const { owner } = yield* client(via).locateSandbox(sandbox.id)
        sandboxes.push({ sandbox, roams: owner !== directReplica })
      })

    const find = (what: string, accept: (place: Place) => boolean, via: string = directReplica) =>
      Effect.gen(function* () {
        for (let made = 0; ; made += atOnce) {
          const places = yield* Effect.forEach(sandboxes, (made) => locate(made, via), { concurrency: 8 })
          const found = places.find(accept)
          if (found !== undefined) return found
          if (made >= tries)
            return yield* new BenchError({ message: `no sandbox ${what} among ${sandboxes.length}` })
          yield* Effect.forEach(names.slice(0, atOnce), create, { concurrency: "unbounded", discard: true })
        }
      }).pipe(Effect.mapError(failed(`looking for a sandbox ${what}`)))

    const settled = Effect.gen(function* () {
      const status = yield* client(names[0] ?? "").clusterStatus
      const share = status.replicas.reduce((sum, { shards }) => sum + shards, 0) / replicas / 2
      const members = status.replicas.filter(({ live, shards }) => live && shards >= share)
      if (members.length < replicas || share === 0)
        return yield* new BenchError({ message: "members are missing" })
      const places = yield* Effect.forEach(sandboxes, (made) => locate(made, names[0] ?? ""), {
        concurrency: 8,
      })
      if (places.some(({ holder }) => holder === ""))
        return yield* new BenchError({ message: "sessions are missing" })
    }).pipe(
      Effect.retry({ schedule: oftenSpaced.pipe(Schedule.upTo(settleMs)) }),
      Effect.mapError(failed(`the cluster did not settle within ${settleMs} ms`)),
    )

    return {
      cluster,
      client,
      url,
      names,
      find,
      settled,
      supervisorPid: (sandboxId) =>
        Effect.promise(async () => {
          const record = await SandboxFiles.readSupervisor(SandboxFiles.filesOf(stateDir, sandboxId))
          return record?.pid ?? 0
        }),
    }
  })
