/** What a run found, for people and for programs. */
import { renderTable } from "../../src/cli/text/Table.ts"
import type { Group } from "./Options.ts"
import { short } from "./Stats.ts"

export interface Aim {
  readonly aim: string
  readonly met: boolean
}

export interface Row {
  readonly group: Group
  /** What was done. */
  readonly name: string
  /** Over which way: `local`, `peer`, or the name of a floor. */
  readonly way: string
  readonly kind: "holdfast" | "floor"
  readonly unit: "ms" | "µs" | "GB/s" | "calls/s" | "statements/s"
  /** By statistic: `p50`, `p99`, `max`, `median`, … */
  readonly values: Readonly<Record<string, number>>
  /** Interquartile range over the rounds as a share of the median. */
  readonly noise: number
  /** To the other ways of the same rounds: median over the rounds. */
  readonly ratios: Readonly<Record<string, number>>
  readonly aims: ReadonlyArray<Aim>
  /** CPU time by process for one unit of work: what remains comparable on a busy machine. */
  readonly cpuMs?: { readonly per: string; readonly byProcess: Readonly<Record<string, number>> }
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  readonly loadBefore: number
  readonly loadAfter: number
}

export interface Report {
  readonly date: string
  readonly commit: string
  readonly command: string
  readonly machine: Machine
  readonly seconds: number
  /** What a reader must know: floors that could not be had, measurements that failed. */
  readonly notes: ReadonlyArray<string>
  /** Something that should work did not: the exit code is 1. */
  readonly failures: ReadonlyArray<string>
  readonly rows: ReadonlyArray<Row>
}

const list = (values: Readonly<Record<string, number>>, suffix = ""): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${short(value)}${suffix}`)
    .join("  ")

const aimText = ({ aim, met }: Aim): string => `${aim} ${met ? "met" : "MISSED"}`

const titleOf = ({ name, unit }: Row): string => `${name}, ${unit}`

const section = (title: string, rows: ReadonlyArray<Row>): string => {
  const table = renderTable(
    rows,
    [
      { heading: "  WAY", value: ({ way, kind }) => `  ${kind === "floor" ? `floor: ${way}` : way}` },
      { heading: "RESULT", value: ({ values }) => list(values) },
      { heading: "NOISE", value: ({ noise }) => `±${(noise * 50).toFixed(0)} %`, alignRight: true },
      { heading: "TIMES", value: ({ ratios }) => list(ratios, "×") },
      { heading: "AIMS", value: ({ aims }) => aims.map(aimText).join(" · ") },
    ],
    { color: false },
  )
  const cpu = rows.flatMap(({ way, cpuMs }) =>
    cpuMs === undefined ? [] : [`  CPU ms per ${cpuMs.per}, ${way}: ${list(cpuMs.byProcess)}\n`],
  )
  return `${title}\n${table}${cpu.join("")}`
}

export const headline = ({ machine, commit, date, seconds }: Report): string =>
  [
    `${date}, commit ${commit}, ${seconds.toFixed(0)} s`,
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}`,
    `Load generator, target, replicas, supervisor and floors are processes that share these ${machine.cores} cores.`,
    `Load average ${machine.loadBefore.toFixed(1)} before and ${machine.loadAfter.toFixed(1)} after; on a busy machine read ratios, not figures.`,
  ].join("\n")

export const render = (report: Report): string => {
  const titles = [...new Set(report.rows.map(titleOf))]
  const sections = titles.map((title) =>
    section(
      title,
      report.rows.filter((row) => titleOf(row) === title),
    ),
  )
  const aims = report.rows.flatMap((row) => row.aims)
  const missed = aims.filter(({ met }) => !met).length
  const notes = report.notes.map((note) => `NOTE: ${note}\n`)
  const failures = report.failures.map((failure) => `FAILED: ${failure}\n`)
  return [
    `${headline(report)}\n`,
    ...sections,
    [...notes, ...failures, `${aims.length - missed} aims met, ${missed} missed\n`].join(""),
  ].join("\n")
}
