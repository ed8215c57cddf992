import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { LocalCluster } from "../../src/local/LocalCluster.ts"
import * as UpOutput from "../../src/local/UpOutput.ts"

const replica = (index: number) => ({
  name: `replica-${index}`,
  url: `http://127.0.0.1:${17_668 + 3 * index}`,
  metricsUrl: `http://127.0.0.1:${17_670 + 3 * index}/metrics`,
  pid: 100 + index,
})

const cluster = (postgres: LocalCluster["postgres"]): LocalCluster => ({
  stateDir: `${process.cwd()}/.holdfast`,
  frontDoor: "http://127.0.0.1:17670",
  postgres,
  replicas: () => [replica(1), replica(2)],
  replica: () => Effect.succeed(replica(1)),
  kill: () => Effect.void,
  stop: () => Effect.void,
  restart: () => Effect.succeed(replica(1)),
  freeze: () => Effect.void,
  thaw: () => Effect.void,
  add: Effect.succeed(replica(3)),
  settingsFile: (name) => `${process.cwd()}/.holdfast/replicas/${name}.env`,
})

const shown = { url: "postgres://holdfast:secret@127.0.0.1:17770/holdfast", pid: 99 }
const postgres = { ...shown, stop: Effect.void, restart: Effect.void }

describe("UpOutput", () => {
  it("gives programs one line with everything they need", () => {
    const line = UpOutput.readyLine(cluster(postgres))
    expect(line).not.toContain("\n")
    expect(JSON.parse(line)).toEqual({
      frontDoor: "http://127.0.0.1:17670",
      replicas: [
        {
          name: "replica-1",
          url: "http://127.0.0.1:17671",
          metricsUrl: "http://127.0.0.1:17673/metrics",
          pid: 101,
        },
        {
          name: "replica-2",
          url: "http://127.0.0.1:17674",
          metricsUrl: "http://127.0.0.1:17676/metrics",
          pid: 102,
        },
      ],
      postgres: shown,
    })
    expect(JSON.parse(UpOutput.readyLine(cluster(undefined)))).toMatchObject({ postgres: null })
  })

  it("keeps the database's password off the terminal", () => {
    const shown = UpOutput.members(cluster(postgres), false)
    expect(shown).toContain("127.0.0.1:17770")
    expect(shown).not.toContain("secret")
  })

  it("names the pid to kill and the command that brings the replica back", () => {
    const text = UpOutput.tryNext(cluster(postgres), false)
    expect(text).toContain("kill -9 102")
    expect(text).toContain("--env-file=.holdfast/replicas/replica-2.env dist/main.js gateway run")
    expect(text).toContain("--env-file=.holdfast/replicas/replica-3.env dist/main.js gateway run")
    expect(text).not.toContain("HOLDFAST_GATEWAY")
  })

  it("says what ended, how, and where its log is", () => {
    const text = UpOutput.replicaExited(
      {
        name: "replica-2",
        pid: 102,
        code: null,
        signal: "SIGKILL",
        expected: false,
        logFile: "/logs/replica-2.log",
      },
      "/state/replicas/replica-2.env",
      false,
    )
    expect(text).toContain("replica-2 (pid 102) was ended by SIGKILL; the others go on.")
    expect(text).toContain("/logs/replica-2.log")
    expect(text).toContain("--env-file=/state/replicas/replica-2.env")
  })
})
