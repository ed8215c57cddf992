import { Clock, Effect } from "effect"
import { addWorkspaceMember, listWorkspaceMembers, removeWorkspaceMember } from "../../client/Workspaces.ts"
import type { WorkspaceMember } from "../../domain/Workspace.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { operand, textOption, unlessNegated } from "../Options.ts"
import { printJsonLine, printListing, printOutcome, say } from "../Output.ts"
import { formatAge } from "../text/Duration.ts"

const memberJson = (member: WorkspaceMember): unknown => ({
  ...member,
  createdAt: new Date(member.createdAtMs).toISOString(),
})

export const memberAdd: Implementation = (invocation) =>
  Effect.gen(function* () {
    const subject = operand(invocation, 0)
    const role = textOption(invocation, "role") === "admin" ? "admin" : "user"
    const gateway = yield* openGateway(invocation)
    const { workspace } = gateway
    const added = yield* addWorkspaceMember(gateway, { workspace, subject, role }).pipe(
      attempting(gateway, { action: `add "${subject}" to workspace "${workspace}"` }),
    )
    const told = say(`"${subject}" is ${role} of workspace "${workspace}".`)
    yield* printOutcome(invocation, { json: memberJson(added), name: added.subject, told })
    return 0
  })

export const memberRemove: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const { workspace } = gateway
    yield* Effect.forEach(
      [...new Set(invocation.operands)],
      (subject) =>
        Effect.gen(function* () {
          const removed = yield* removeWorkspaceMember(gateway, { workspace, subject }).pipe(
            attempting(gateway, { action: `remove "${subject}" from workspace "${workspace}"` }),
          )
          const told = say(
            removed
              ? `"${subject}" is no longer a member of workspace "${workspace}".`
              : `"${subject}" was no member of workspace "${workspace}".`,
          )
          yield* printOutcome(invocation, { json: { subject, removed }, name: subject, told }, printJsonLine)
        }),
      { discard: true },
    )
    return 0
  })

export const memberList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const { workspace } = gateway
    const rows = yield* listWorkspaceMembers(gateway, workspace).pipe(
      attempting(gateway, { action: `list the members of workspace "${workspace}"` }),
    )
    const nowMs = yield* Clock.currentTimeMillis
    yield* printListing(invocation, {
      rows,
      columns: [
        { heading: "SUBJECT", value: ({ subject }) => subject },
        { heading: "ROLE", value: ({ role }) => role },
        { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
      ],
      json: memberJson,
      name: ({ subject }) => subject,
      empty: `Workspace "${workspace}" has no members; platform admins need no membership.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })
