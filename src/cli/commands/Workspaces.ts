import { Clock, Effect } from "effect"
import { createWorkspace, deleteWorkspace, getWorkspace, listWorkspaces } from "../../client/Workspaces.ts"
import { isTerminating, type Workspace } from "../../domain/Workspace.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { mapOption, numberOption, operand, textOption, unlessNegated } from "../Options.ts"
import { print, printDeleted, printListing, printOutcome, renderFields, say } from "../Output.ts"
import { formatAge } from "../text/Duration.ts"

const phaseOf = (workspace: Workspace): string => (isTerminating(workspace) ? "Terminating" : "Active")

const labelsOf = ({ labels }: Workspace): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",")

const workspaceJson = (workspace: Workspace): unknown => ({
  ...workspace,
  phase: phaseOf(workspace),
  createdAt: new Date(workspace.createdAtMs).toISOString(),
})

export const workspaceCreate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const made = yield* createWorkspace(gateway, { name, labels: mapOption(invocation, "label") }).pipe(
      attempting(gateway, { action: `create workspace "${name}"` }),
    )
    const told = say(`Created workspace "${made.name}".`)
    yield* printOutcome(invocation, { json: workspaceJson(made), name: made.name, told })
    return 0
  })

export const workspaceGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const found = yield* getWorkspace(gateway, name).pipe(
      attempting(gateway, { action: `get workspace "${name}"` }),
    )
    yield* show(invocation, found, yield* Clock.currentTimeMillis)
    return 0
  })

const show = (invocation: Invocation, workspace: Workspace, nowMs: number): Effect.Effect<void> => {
  const created = new Date(workspace.createdAtMs).toISOString()
  const told = print(
    renderFields([
      ["Name", workspace.name],
      ["ID", workspace.id],
      ["Phase", phaseOf(workspace)],
      ["Created", `${created} (${formatAge(nowMs - workspace.createdAtMs)} ago)`],
      ["Labels", labelsOf(workspace)],
    ]),
  )
  return printOutcome(invocation, { json: workspaceJson(workspace), name: workspace.name, told })
}

export const workspaceList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const rows = yield* listWorkspaces(gateway, {
      selector: textOption(invocation, "selector"),
      limit: numberOption(invocation, "limit"),
    }).pipe(attempting(gateway, { action: "list workspaces" }))
    const nowMs = yield* Clock.currentTimeMillis
    yield* printListing(invocation, {
      rows,
      columns: [
        { heading: "NAME", value: ({ name }) => name },
        { heading: "PHASE", value: phaseOf },
        { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
      ],
      wide: [
        { heading: "ID", value: ({ id }) => id },
        { heading: "LABELS", value: labelsOf },
      ],
      json: workspaceJson,
      name: ({ name }) => name,
      empty: "You are a member of no workspace.",
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

export const workspaceDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    yield* Effect.forEach(
      [...new Set(invocation.operands)],
      (name) =>
        deleteWorkspace(gateway, name).pipe(
          attempting(gateway, { action: `delete workspace "${name}"` }),
          Effect.zipRight(printDeleted(invocation, "workspace", name)),
        ),
      { discard: true },
    )
    return 0
  })
