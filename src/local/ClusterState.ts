/**
 * Who runs a local cluster in a state directory. One process at a time; what a killed one left running is
 * ended by the next.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { mkdir, readFile } from "node:fs/promises"
import path from "node:path"
import { Data, Effect, Option, Schema, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import * as KeyedLock from "../driver/KeyedLock.ts"
import * as Proc from "../driver/Proc.ts"

export class StateInUse extends Data.TaggedError("StateInUse")<{
  readonly message: string
  readonly next: string
}> {}

const Identity = Schema.Struct({ pid: Schema.Number, startTicks: Schema.Number })

/** `<stateDir>/up.json` */
export const ClusterRecord = Schema.Struct({
  up: Identity,
  frontDoor: Schema.String,
  replicas: Schema.Array(Schema.Struct({ name: Schema.String, ...Identity.fields })),
})
export type ClusterRecord = typeof ClusterRecord.Type

const fileOf = (stateDir: string) => path.join(stateDir, "up.json")

export const read = (stateDir: string): Effect.Effect<ClusterRecord | undefined> =>
  Effect.promise(() => readFile(fileOf(stateDir), "utf8").catch(() => "")).pipe(
    Effect.map((text) => Option.getOrUndefined(Schema.decodeOption(Schema.parseJson(ClusterRecord))(text))),
  )

/** Synchronous, so that replicas which start at the same time do not overwrite each other's record. */
export const write = (stateDir: string, record: ClusterRecord): Effect.Effect<void> =>
  Effect.sync(() => {
    const fresh = `${fileOf(stateDir)}.new`
    writeFileSync(fresh, `${JSON.stringify(record)}\n`)
    renameSync(fresh, fileOf(stateDir))
  })

const endLeftovers = (record: ClusterRecord): Effect.Effect<void> => {
  const left = record.replicas.filter(Proc.isAlive)
  for (const replica of left) {
    Proc.signal(replica, "SIGTERM")
    Proc.signal(replica, "SIGCONT")
  }
  return Proc.waitForEnd(left, limits.replicaStopMs).pipe(
    Effect.tap(() => {
      for (const replica of left) Proc.signal(replica, "SIGKILL")
    }),
    Effect.zipRight(Proc.waitForEnd(left, limits.driverKillTimeoutMs)),
    Effect.asVoid,
  )
}

/**
 * A directory keeps to the kind of database that it began with: the sandboxes in it are known to that one
 * alone, and another would take their files for those of deleted sandboxes.
 */
export const keepDatabase = (
  stateDir: string,
  kind: "postgres" | "sqlite",
): Effect.Effect<void, StateInUse> =>
  Effect.suspend(() => {
    const file = path.join(stateDir, "database")
    const known = existsSync(file) ? readFileSync(file, "utf8").trim() : kind
    if (known !== kind) {
      return new StateInUse({
        message: `${stateDir} belongs to a cluster on ${known}, not on ${kind}`,
        next: `Start it ${known === "sqlite" ? "with" : "without"} --sqlite, or choose another directory with --state.`,
      })
    }
    writeFileSync(file, `${kind}\n`)
    return Effect.void
  })

/** Makes the directory and holds it until the scope closes. */
export const claim = (stateDir: string): Effect.Effect<void, StateInUse, Scope.Scope> =>
  Effect.gen(function* () {
    yield* Effect.promise(() => mkdir(stateDir, { recursive: true, mode: 0o711 }))
    const taken = yield* Effect.either(KeyedLock.hold("up", stateDir))
    const record = yield* read(stateDir)
    if (taken._tag === "Left") {
      const who = record !== undefined && Proc.isAlive(record.up) ? `pid ${record.up.pid}` : "another process"
      const where = record === undefined ? "" : ` at ${record.frontDoor}`
      return yield* new StateInUse({
        message: `a cluster already runs on ${stateDir}${where} (${who})`,
        next: "Use that one, stop it with Ctrl-C in its terminal, or choose another directory with --state and another port with --port.",
      })
    }
    if (record !== undefined) yield* endLeftovers(record)
  })
