/** The scoreboard as text. Pure. */
import { renderFields } from "../../cli/Output.ts"
import { green, red } from "../../cli/text/Color.ts"
import type { Reading } from "../watch/Gauge.ts"
import type { OpenSample } from "../watch/Prober.ts"
import type { Spread } from "./Figures.ts"
import type { Scoreboard } from "./Scoreboard.ts"

const spread = ({ p50, p99, max, count }: Spread): string =>
  count === 0 ? "none" : `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${count})`

const listed = (values: Readonly<Record<string, number | undefined>>, unit = ""): string =>
  Object.entries(values)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}${unit}`]))
    .join(", ")

const slowOpen = ({ tookMs, replica, atMs }: OpenSample): string =>
  `${tookMs} ms (${replica}, at ${(atMs / 1_000).toFixed(1)} s)`

const cost = ({ seconds, cpuPercent, transactionsPerSecond, residentMb }: Reading): string =>
  `${cpuPercent} % of a core, ${transactionsPerSecond ?? "unknown"} transactions/s, ${residentMb} MiB at the end (${seconds} s)`

const ends = ({ atLoss, untimely, otherwise, refused, hangs }: Scoreboard["endings"]): string =>
  `${atLoss} with their replica; ${untimely} out of time, ${otherwise} without UNAVAILABLE; ${refused} calls refused, ${hangs} hang`

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

export const render = (board: Scoreboard, color: boolean): string => {
  const paint = (good: boolean, text: string): string => (color ? (good ? green(text) : red(text)) : text)
  const { errors, bytes, owners } = board
  const { total: streams, ...kinds } = board.streams
  const fields = renderFields([
    ["Load", `${streams} streams (${listed(kinds)}) in ${board.sandboxes} sandboxes`],
    ["Idle sessions", board.idleSessions === 0 ? "" : String(board.idleSessions)],
    ["Peers", board.wire === "openshell" ? "OpenShell's wire, no extensions" : ""],
    ["Transport", board.tls ? "TLS" : "in the clear"],
    ["Errors", `${errors.streams} streams, ${errors.operations} operations, ${errors.opens} opens`],
    ["Ends", board.wire === "openshell" ? ends(board.endings) : ""],
    [
      "Bytes",
      `${megabytes(bytes.received)} checked; ${bytes.lost} lost, ${bytes.duplicated} duplicated, ${bytes.reordered} reordered, ${bytes.corrupted} corrupted; ${bytes.hashMismatches} hashes differ`,
    ],
    ["Stall", spread(board.stallMs)],
    ["  longest", listed(board.stallMaxMsByKind, " ms")],
    ["Operations", `${board.operations}; ${spread(board.operationMs)}`],
    ["Opens", spread(board.openMs)],
    ["  slowest", board.slowOpens.map(slowOpen).join(", ")],
    ["Owners", `${owners.double} double, ${owners.stale} stale of ${owners.answers} answers`],
    ["Converged", board.convergeMs === null ? "not" : `${board.convergeMs} ms`],
    [
      "Sessions moved",
      `${board.sessionMoves}${board.moveRatio === null ? "" : ` (${board.moveRatio} × the least)`}`,
    ],
    ["Skew", board.skew === null ? "" : String(board.skew)],
    ["Memory", board.residentMb === 0 ? "" : `${board.residentMb} MiB of the largest replica`],
    ["Cost", board.cost === null ? "" : cost(board.cost)],
    [
      "Own delay",
      `p99 ${board.loopDelay.p99Ms} ms, max ${board.loopDelay.maxMs} ms: of this process, in every figure`,
    ],
  ])
  const marks = board.faults.map(
    ({ atMs, what }) => `  ${(atMs / 1_000).toFixed(1).padStart(6)} s  ${what}\n`,
  )
  const texts = errors.texts.map(({ text, times }) => `  ${times} × ${text}\n`)
  const aims = board.thresholds.map(({ met, text }) => `  ${paint(met, met ? "met   " : "MISSED")} ${text}\n`)
  const others = board.missed
    .filter((text) => board.thresholds.every((threshold) => threshold.text !== text))
    .map((text) => `  ${paint(false, "FAILED")} ${text}\n`)
  return [
    `${board.scenario}${board.quick ? ", quick" : ""}: ${paint(board.missed.length === 0, board.missed.length === 0 ? "passed" : "missed")} (${board.seconds.toFixed(0)} s, ${board.replicas} replicas)\n`,
    fields,
    `Fault:\n${marks.join("")}`,
    texts.length === 0 ? "" : `Errors:\n${texts.join("")}`,
    `Aims:\n${aims.join("")}${others.join("")}`,
  ].join("")
}
