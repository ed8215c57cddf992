/** The ways to one target, and measuring them in turns. */
import { Effect, type Scope } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import { type BenchError, failed } from "./BenchError.ts"
import { directReplica, type Fixture } from "./Fixture.ts"
import * as Sshd from "./floors/Sshd.ts"
import * as Helper from "./Helper.ts"
import type { Way } from "./load/Protocol.ts"

export interface NamedWay {
  readonly name: string
  readonly kind: "holdfast" | "floor"
  readonly way: Way
}

export interface Ways {
  readonly ways: ReadonlyArray<NamedWay>
  readonly sandboxId: string
  /** Processes by part, for their CPU time. */
  readonly pids: Readonly<Record<string, number>>
  /** Floors that could not be had. */
  readonly notes: ReadonlyArray<string>
}

export const floorNames = { tcp: "direct TCP", pipe: "Node pipe", ssh: "ssh -R" } as const

/** Enough for the connections of one sandbox, each token carrying three. */
const tokensPerWay = Math.ceil(limits.connectionsPerSandbox / limits.connectionsPerToken)

export const prepare = (
  fixture: Fixture,
  load: Helper.LoadGenerator,
  mayInstall: boolean,
): Effect.Effect<Ways, BenchError, Scope.Scope> =>
  Effect.gen(function* () {
    const target = yield* Helper.server("floors/TargetProcess.ts")
    const pipe = yield* Helper.server("floors/PipeProcess.ts", [String(target.port)])
    const ssh = yield* Effect.either(Sshd.start({ targetPort: target.port, mayInstall }))

    const place = yield* fixture.find(
      `owned and held by ${directReplica}`,
      ({ owner, holder }) => owner === directReplica && holder === directReplica,
    )
    const sandboxId = place.sandbox.id
    const peerReplica = fixture.names.find((name) => name !== directReplica) ?? directReplica
    const token = Effect.mapError(
      fixture.client(directReplica).createSshSession(sandboxId),
      failed("no SSH session token"),
    )
    const tokens = (yield* Effect.replicateEffect(token, tokensPerWay)).map((session) => session.token)
    const relay = (name: string, replica: string): NamedWay => ({
      name,
      kind: "holdfast",
      way: { _tag: "Relay", url: fixture.url(replica), sandboxId, tokens, port: target.port },
    })
    const floor = (name: string, port: number): NamedWay => ({
      name,
      kind: "floor",
      way: { _tag: "Tcp", port },
    })
    const pidOf = (replica: string) =>
      Effect.mapError(fixture.cluster.replica(replica), failed("no such replica")).pipe(
        Effect.map(({ pid }) => pid),
      )
    return {
      sandboxId,
      ways: [
        relay("local", directReplica),
        relay("peer", peerReplica),
        floor(floorNames.tcp, target.port),
        floor(floorNames.pipe, pipe.port),
        ...(ssh._tag === "Right" ? [floor(floorNames.ssh, ssh.right)] : []),
      ],
      pids: {
        load: load.pid,
        gateway: yield* pidOf(directReplica),
        peer: yield* pidOf(peerReplica),
        supervisor: yield* fixture.supervisorPid(sandboxId),
        target: target.pid,
        pipe: pipe.pid,
      },
      notes:
        ssh._tag === "Left"
          ? [`THE FLOOR ssh -R IS MISSING, its aims are not judged: ${ssh.left.message}`]
          : [],
    }
  })

/** ABAB…, beginning with another way each round, so that no way is always the first after a pause. */
export const inTurns = <A>(
  ways: ReadonlyArray<NamedWay>,
  rounds: number,
  budgetMs: number,
  measure: (way: NamedWay) => Effect.Effect<A, BenchError>,
): Effect.Effect<ReadonlyMap<string, ReadonlyArray<A>>, BenchError> =>
  Effect.gen(function* () {
    const results = new Map<string, Array<A>>(ways.map(({ name }) => [name, []]))
    const startedAt = performance.now()
    for (let round = 0; round < rounds; round += 1) {
      if (round > 0 && performance.now() - startedAt > budgetMs) break
      for (let step = 0; step < ways.length; step += 1) {
        const way = ways[(round + step) % ways.length]
        if (way !== undefined) results.get(way.name)?.push(yield* measure(way))
      }
    }
    return results
  })
