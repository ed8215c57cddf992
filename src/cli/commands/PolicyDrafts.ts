/** `holdfast policy draft …`: proposals and what becomes of them. */
import { Clock, Effect } from "effect"
import * as Client from "../../client/Policies.ts"
import type { PolicyChanged, ReviewedChunk } from "../../domain/DraftPolicy.ts"
import { NotFound } from "../../domain/Errors.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { flag, operand, textOption, unlessNegated } from "../Options.ts"
import { print, printJson, printListing, renderFields, say } from "../Output.ts"
import { policyYaml, readRule } from "../PolicyFile.ts"
import { formatAge } from "../text/Duration.ts"

const opened = (invocation: Invocation, verb: string) =>
  Effect.map(openGateway(invocation), (gateway) => {
    const sandbox = operand(invocation, 0)
    return {
      gateway,
      sandbox,
      chunkId: operand(invocation, 1),
      to: attempting(gateway, { action: `${verb} of sandbox "${sandbox}"`, sandbox }),
    }
  })

const addresses = ({ proposedRule }: ReviewedChunk): string =>
  (proposedRule.endpoints ?? []).map(({ host = "", port = 0 }) => `${host}:${port}`).join(" ")

export const draftList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, to } = yield* opened(invocation, "list the proposals")
    const { chunks } = yield* to(Client.draftPolicy(gateway, sandbox, textOption(invocation, "status") ?? ""))
    const nowMs = yield* Clock.currentTimeMillis
    yield* printListing(invocation, {
      rows: chunks,
      columns: [
        { heading: "ID", value: ({ id }) => id },
        { heading: "STATUS", value: ({ status }) => status },
        { heading: "RULE", value: ({ ruleName }) => ruleName },
        { heading: "ENDPOINTS", value: addresses },
        { heading: "SEEN", value: ({ hitCount }) => String(hitCount) },
        { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
      ],
      wide: [
        { heading: "NOTES", value: ({ securityNotes }) => securityNotes },
        { heading: "RATIONALE", value: ({ rationale }) => rationale },
      ],
      json: (chunk) => chunk,
      name: ({ id }) => id,
      empty: `No proposals for sandbox "${sandbox}".`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

const chunkNamed = (chunks: ReadonlyArray<ReviewedChunk>, id: string) => {
  const chunk = chunks.find((one) => one.id === id)
  return chunk === undefined
    ? Effect.fail(new NotFound({ message: "chunk not found" }))
    : Effect.succeed(chunk)
}

export const draftGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, chunkId, to } = yield* opened(invocation, "show a proposal")
    const chunk = yield* to(
      Effect.flatMap(Client.draftPolicy(gateway, sandbox, ""), ({ chunks }) => chunkNamed(chunks, chunkId)),
    )
    if (invocation.globals.output === "json") {
      yield* printJson(chunk)
      return 0
    }
    const rule = policyYaml({ networkPolicies: { [chunk.ruleName]: chunk.proposedRule } })
    yield* print(
      `${renderFields([
        ["ID", chunk.id],
        ["Status", chunk.status],
        ["Rationale", chunk.rationale],
        ["Security notes", chunk.securityNotes],
        ["Rejected because", chunk.rejectionReason],
        ["Seen", `${chunk.hitCount} times`],
        ["Review token", chunk.reviewToken],
      ])}${rule}`,
    )
    return 0
  })

const decided = ({ globals }: Invocation, result: unknown, text: string): Effect.Effect<number> =>
  Effect.as(globals.output === "json" ? printJson(result) : say(text), 0)

const nowVersion = ({ version }: PolicyChanged): string => `The policy is version ${version} now.`

/** The token of a proposal as it is now, unless one is given: who gives one approves only what they saw. */
export const draftApprove: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, chunkId, to } = yield* opened(invocation, "approve a proposal")
    const given = textOption(invocation, "reviewToken")
    const reviewToken =
      given ??
      (yield* to(
        Effect.flatMap(Client.draftPolicy(gateway, sandbox, ""), ({ chunks }) => chunkNamed(chunks, chunkId)),
      )).reviewToken
    const changed = yield* to(Client.approveChunk(gateway, { name: sandbox, chunkId, reviewToken }))
    return yield* decided(invocation, changed, `Approved. ${nowVersion(changed)}`)
  })

export const draftApproveAll: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, to } = yield* opened(invocation, "approve the proposals")
    const { chunks } = yield* to(Client.draftPolicy(gateway, sandbox, "pending"))
    const outcome = yield* to(
      Client.approveChunks(gateway, {
        name: sandbox,
        includeSecurityFlagged: flag(invocation, "includeFlagged"),
        approvals: chunks.map(({ id, reviewToken }) => ({ chunkId: id, reviewToken })),
      }),
    )
    const skipped = outcome.skipped === 0 ? "" : ` ${outcome.skipped} with security notes wait.`
    return yield* decided(
      invocation,
      outcome,
      `Approved ${outcome.approved} proposals. ${nowVersion(outcome)}${skipped}`,
    )
  })

export const draftReject: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, chunkId, to } = yield* opened(invocation, "reject a proposal")
    const reason = textOption(invocation, "reason") ?? ""
    yield* to(Client.rejectChunk(gateway, { name: sandbox, chunkId, reason }))
    return yield* decided(invocation, { id: chunkId, status: "rejected" }, "Rejected.")
  })

export const draftEdit: Implementation = (invocation) =>
  Effect.gen(function* () {
    const rule = yield* readRule(textOption(invocation, "rule") ?? "-")
    const { gateway, sandbox, chunkId, to } = yield* opened(invocation, "edit a proposal")
    yield* to(Client.editChunk(gateway, { name: sandbox, chunkId, rule }))
    return yield* decided(invocation, { id: chunkId, edited: true }, "Changed the proposal.")
  })

export const draftUndo: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, chunkId, to } = yield* opened(invocation, "undo an approval")
    const changed = yield* to(Client.undoChunk(gateway, { name: sandbox, chunkId }))
    return yield* decided(invocation, changed, `Undone. ${nowVersion(changed)}`)
  })

export const draftClear: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, to } = yield* opened(invocation, "clear the proposals")
    const cleared = yield* to(Client.clearChunks(gateway, sandbox))
    return yield* decided(invocation, { cleared }, `Gave up ${cleared} pending proposals.`)
  })

export const draftHistory: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { gateway, sandbox, to } = yield* opened(invocation, "show the history of proposals")
    const rows = yield* to(Client.draftHistory(gateway, sandbox))
    yield* printListing(invocation, {
      rows,
      columns: [
        { heading: "TIME", value: ({ timestampMs }) => new Date(timestampMs).toISOString() },
        { heading: "EVENT", value: ({ eventType }) => eventType },
        { heading: "WHAT", value: ({ description }) => description },
      ],
      wide: [{ heading: "ID", value: ({ chunkId }) => chunkId }],
      json: (entry) => entry,
      name: ({ chunkId }) => chunkId,
      empty: `No proposals were ever made for sandbox "${sandbox}".`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })
