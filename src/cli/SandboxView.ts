/** Sandboxes as rows, as JSON and in full. */
import { readyConditionOf, type Sandbox, type SandboxPhase } from "../domain/Sandbox.ts"
import { renderFields } from "./Output.ts"
import { dim, green, red, yellow } from "./text/Color.ts"
import { formatAge } from "./text/Duration.ts"
import type { Column } from "./text/Table.ts"

const paintPhase = (text: string, phase: SandboxPhase): string => {
  if (phase === "Ready") return green(text)
  if (phase === "Error") return red(text)
  return phase === "Stopped" ? dim(text) : yellow(text)
}

const pairs = (map: Readonly<Record<string, string>>): string =>
  Object.entries(map)
    .map(([key, value]) => `${key}=${value}`)
    .join(",")

const workspaceColumn: Column<Sandbox> = { heading: "WORKSPACE", value: ({ workspace }) => workspace }

export const sandboxColumns = (nowMs: number, withWorkspace: boolean): ReadonlyArray<Column<Sandbox>> => [
  ...(withWorkspace ? [workspaceColumn] : []),
  { heading: "NAME", value: ({ name }) => name },
  {
    heading: "PHASE",
    value: ({ status }) => status.phase,
    paint: (cell, { status }) => paintPhase(cell, status.phase),
  },
  { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
]

export const sandboxWideColumns: ReadonlyArray<Column<Sandbox>> = [
  { heading: "ID", value: ({ id }) => id },
  { heading: "IMAGE", value: ({ spec }) => spec.template?.image ?? "" },
  { heading: "INSTANCE", value: ({ status }) => status.agentPod },
  { heading: "REASON", value: (sandbox) => readyConditionOf(sandbox)?.reason ?? "" },
  { heading: "LABELS", value: ({ labels }) => pairs(labels) },
]

/** Stable for programs: the sandbox as stored, with times as RFC 3339 as well. */
export const sandboxJson = (sandbox: Sandbox): unknown => ({
  ...sandbox,
  createdAt: new Date(sandbox.createdAtMs).toISOString(),
})

export interface Placement {
  readonly owner: string
  readonly sessionHolder: string
  readonly shard: number
}

/** Everything about one sandbox, environment values aside. */
export const describeSandbox = (
  sandbox: Sandbox,
  nowMs: number,
  placement: Placement | undefined,
): string => {
  const { spec, status } = sandbox
  const ready = readyConditionOf(sandbox)
  const created = new Date(sandbox.createdAtMs).toISOString()
  return renderFields([
    ["Name", sandbox.name],
    ["Workspace", sandbox.workspace],
    ["ID", sandbox.id],
    ["Phase", status.phase],
    [
      "Reason",
      ready === undefined ? "" : [ready.reason, ready.message].filter((text) => text !== "").join(": "),
    ],
    ["Exit code", status.exitCode === undefined ? "" : String(status.exitCode)],
    ["Created", `${created} (${formatAge(nowMs - sandbox.createdAtMs)} ago)`],
    ["Image", spec.template?.image ?? ""],
    ["Command", spec.command.join(" ")],
    ["Terminal", spec.command.length === 0 ? "" : spec.tty ? "yes" : "no"],
    ["Environment", Object.keys(spec.environment).toSorted().join(", ")],
    ["Providers", spec.providers.join(", ")],
    ["Labels", pairs(sandbox.labels)],
    ["Annotations", pairs(sandbox.annotations)],
    ["Instance", status.agentPod],
    ["Policy version", status.currentPolicyVersion === 0 ? "" : String(status.currentPolicyVersion)],
    ["Owner", placement === undefined ? "" : `${placement.owner} (shard ${placement.shard})`],
    [
      "Session",
      placement === undefined
        ? ""
        : placement.sessionHolder === ""
          ? "none"
          : `held by ${placement.sessionHolder}`,
    ],
  ])
}
