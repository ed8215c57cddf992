/** What `holdfast up` says. Pure: texts only. */
import path from "node:path"
import { bold, dim, green, yellow } from "../cli/text/Color.ts"
import { renderTable } from "../cli/text/Table.ts"
import { type Answer, sandboxName } from "./Demonstration.ts"
import type { LocalCluster, LocalReplica } from "./LocalCluster.ts"
import type { ReplicaExit } from "./ReplicaProcess.ts"
import { logFileOf } from "./ReplicaSettings.ts"

/** The CLI's own default; with it no address need be given. */
const defaultFrontDoor = "http://127.0.0.1:17670"
/** How this checkout's programs are called by a person in its directory. */
const program = "bin/holdfast"

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
const shown = (file: string): string => {
  const relative = path.relative(process.cwd(), file)
  return relative !== "" && !relative.startsWith("..") ? relative : file
}

/** One line for programs: all they need to drive the cluster. */
export const readyLine = (cluster: LocalCluster): string =>
  JSON.stringify({
    frontDoor: cluster.frontDoor,
    replicas: cluster.replicas().map(({ name, url, metricsUrl, pid }) => ({ name, url, metricsUrl, pid })),
    postgres:
      cluster.postgres === undefined ? null : { url: cluster.postgres.url, pid: cluster.postgres.pid },
  })

export const members = (cluster: LocalCluster, color: boolean): string => {
  // The password stays out of terminals and their logs; it is in the settings files and in --json.
  const postgres =
    cluster.postgres === undefined
      ? []
      : [{ what: "Postgres", at: new URL(cluster.postgres.url).host, pid: String(cluster.postgres.pid) }]
  const rows = [
    ...postgres,
    ...cluster.replicas().map(({ name, url, pid }) => ({ what: name, at: url, pid: String(pid) })),
    { what: "front door", at: cluster.frontDoor, pid: String(process.pid) },
  ]
  return renderTable(
    rows,
    [
      { heading: "STARTED", value: ({ what }) => what },
      { heading: "ADDRESS", value: ({ at }) => at },
      { heading: "PID", value: ({ pid }) => pid },
    ],
    { color },
  )
}

export const answers = (rows: ReadonlyArray<Answer>, color: boolean): string =>
  renderTable(
    rows,
    [
      { heading: "ASKED", value: ({ asked }) => asked },
      { heading: "ANSWERED BY", value: ({ answeredBy }) => answeredBy },
      { heading: "OWNER", value: ({ owner }) => owner },
      { heading: "SESSION AT", value: ({ sessionHolder }) => sessionHolder },
      { heading: "TOOK", value: ({ tookMs }) => `${tookMs} ms`, alignRight: true },
      { heading: "OUTPUT", value: ({ output }) => output, paint: (cell) => green(cell) },
    ],
    { color },
  )

export const sandboxLine = (origin: string, tookMs: number): string =>
  `Sandbox ${sandboxName} ${origin === "found" ? "found from an earlier start" : origin}, ready after ${seconds(tookMs)}.`

export const tryNext = (cluster: LocalCluster, color: boolean): string => {
  const heading = (text: string) => (color ? bold(text) : text)
  const remark = (text: string) => (color ? dim(text) : text)
  const replicas = cluster.replicas()
  const victim = replicas[replicas.length - 1]
  const spare = `replica-${replicas.length + 1}`
  const byHand = (name: string) =>
    `node_modules/.bin/node --env-file=${shown(cluster.settingsFile(name))} dist/main.js gateway run`
  const lines: ReadonlyArray<readonly [string, string]> = [
    ...(cluster.frontDoor === defaultFrontDoor
      ? []
      : [[`export HOLDFAST_GATEWAY=${cluster.frontDoor}`, "the address of this cluster"] as const]),
    [`${program} sandbox exec ${sandboxName} -- uname -a`, "run a command"],
    [`${program} sandbox connect ${sandboxName}`, "a shell in the sandbox"],
    [`${program} ssh-config --write`, `then: ssh ${sandboxName}.holdfast, scp, rsync, git`],
    [`${program} gateway status`, "the replicas and their load"],
    ...(victim === undefined || replicas.length < 2
      ? []
      : ([
          [`kill -9 ${victim.pid}`, `lose ${victim.name}; everything above still works`],
          [byHand(victim.name), `bring ${victim.name} back by hand`],
          [byHand(spare), "or join one more"],
        ] as const)),
  ]
  const width = Math.min(Math.max(...lines.map(([command]) => command.length)), 48)
  const rendered = lines.map(([command, text]) => `  ${command.padEnd(width)}  ${remark(`# ${text}`)}`)
  const logs = shown(path.dirname(logFileOf(cluster.stateDir, "any")))
  return [
    heading("Try next, in another terminal:"),
    ...rendered,
    "",
    `Logs are in ${logs}. Ctrl-C stops all of this.`,
  ].join("\n")
}

export const replicaExited = (exit: ReplicaExit, settingsFile: string, color: boolean): string => {
  const how = exit.signal === null ? `ended with code ${exit.code}` : `was ended by ${exit.signal}`
  const text = `${exit.name} (pid ${exit.pid}) ${how}; the others go on.`
  return [
    color ? yellow(text) : text,
    `  log: ${shown(exit.logFile)}`,
    `  start it again: node_modules/.bin/node --env-file=${shown(settingsFile)} dist/main.js gateway run`,
  ].join("\n")
}

export const postgresExited = (how: string, stateDir: string, color: boolean): string => {
  const text = `Postgres ${how}; nothing can be created or changed until \`holdfast up\` is started again.`
  return [color ? yellow(text) : text, `  log: ${shown(logFileOf(stateDir, "postgres"))}`].join("\n")
}

export const replicaReady = (replica: LocalReplica): string =>
  `${replica.name} is ready (pid ${replica.pid}).`
