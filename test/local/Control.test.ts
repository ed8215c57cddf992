import { mkdtemp, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Control from "../../src/local/Control.ts"
import { type LocalCluster, LocalClusterError } from "../../src/local/LocalCluster.ts"

describe("the control socket of a local cluster", () => {
  let stateDir = ""
  const done: Array<string> = []
  const replica = { name: "replica-1", url: "http://127.0.0.1:1", metricsUrl: "http://127.0.0.1:2", pid: 7 }
  const act = (verb: string) => (name: string) => Effect.sync(() => void done.push(`${verb} ${name}`))
  const cluster = (): LocalCluster => ({
    stateDir,
    frontDoor: "http://127.0.0.1:3",
    postgres: undefined,
    replicas: () => [replica],
    replica: () => Effect.succeed(replica),
    kill: act("kill"),
    stop: act("stop"),
    restart: (name) => Effect.as(act("start")(name), replica),
    freeze: act("freeze"),
    thaw: (name) => new LocalClusterError({ message: `there is no ${name}`, next: "" }),
    add: Effect.succeed(replica),
    settingsFile: () => "",
  })
  beforeEach(async () => {
    done.length = 0
    stateDir = await mkdtemp(path.join(tmpdir(), "holdfast-control-"))
  })
  afterEach(() => rm(stateDir, { recursive: true, force: true }))

  it.effect("does what it is asked and answers with the replicas", () =>
    Effect.gen(function* () {
      yield* Control.serve(cluster())
      for (const verb of ["kill", "stop", "start", "freeze"] as const) {
        expect(yield* Control.ask(stateDir, verb, "replica-1")).toEqual([replica])
      }
      expect(yield* Control.ask(stateDir, "replicas")).toEqual([replica])
      expect(done).toEqual(["kill replica-1", "stop replica-1", "start replica-1", "freeze replica-1"])
    }).pipe(Effect.scoped),
  )

  it.effect("passes on why something did not work", () =>
    Effect.gen(function* () {
      yield* Control.serve(cluster())
      const thawed = yield* Effect.flip(Control.ask(stateDir, "thaw", "replica-9"))
      expect(thawed.message).toBe("there is no replica-9")
      const stopped = yield* Effect.flip(Control.ask(stateDir, "database-stop"))
      expect(stopped.message).toContain("no Postgres of its own")
    }).pipe(Effect.scoped),
  )

  it.effect("is for the user of the cluster alone", () =>
    Effect.gen(function* () {
      yield* Control.serve(cluster())
      const { mode } = yield* Effect.promise(() => stat(Control.socketOf(stateDir)))
      expect(mode & 0o777).toBe(0o600)
    }).pipe(Effect.scoped),
  )

  it.effect("takes the place of a socket that a killed cluster left, and is gone with its own", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Control.serve(cluster()))
      const refused = yield* Effect.flip(Control.ask(stateDir, "replicas"))
      expect(refused.message).toContain("no cluster can be controlled")
      yield* Effect.scoped(
        Effect.zipRight(Control.serve(cluster()), Effect.asVoid(Control.ask(stateDir, "replicas"))),
      )
    }),
  )
})
