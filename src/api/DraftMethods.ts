/** Proposals for policies: supervisors submit them, users decide. */
import { Effect } from "effect"
import type {
  ApproveAll,
  ChunkApproval,
  ChunkEdit,
  ChunkRef,
  ChunkRejection,
  DraftPolicy,
  DraftQuery,
  PolicyAnalysis,
  SandboxRef,
} from "../domain/DraftPolicy.ts"
import { PermissionDenied } from "../domain/Errors.ts"
import * as Approval from "../policy/Approval.ts"
import { retrying } from "../policy/OwnHead.ts"
import { reviewed } from "../policy/Review.ts"
import { submit } from "../policy/Submission.ts"
import { Drafts } from "../store/Drafts.ts"
import { openShellAccess as access } from "./Access.ts"
import { callingSandbox } from "./ConfigMethods.ts"
import { type Caller, sandboxByName } from "./Lookup.ts"
import { unary } from "./Operation.ts"

const named = (context: Caller, { name, workspace }: SandboxRef) => sandboxByName(context, name, workspace)

const submitAnalysis = unary(access.submitPolicyAnalysis, (analysis: PolicyAnalysis, { principal }) =>
  Effect.gen(function* () {
    if (principal.kind !== "sandbox")
      return yield* new PermissionDenied({ message: "this method requires a sandbox principal" })
    const sandbox = yield* callingSandbox(principal.sandboxId, analysis.name, analysis.workspace)
    return yield* submit(sandbox, analysis)
  }),
)

const get = unary(access.getDraftPolicy, (query: DraftQuery, context) =>
  Effect.gen(function* () {
    const { principal } = context
    const sandbox =
      principal.kind === "sandbox"
        ? yield* callingSandbox(principal.sandboxId, query.name, query.workspace)
        : yield* named(context, query)
    const { heads, inForce, chunks } = yield* retrying("draft read", Approval.standing(sandbox))
    const wanted = chunks.filter(({ status }) => query.status === "" || status === query.status)
    const count = (wantedStatus: string) => chunks.filter(({ status }) => status === wantedStatus).length
    return {
      chunks: reviewed(wanted, inForce),
      summary: `${count("pending")} pending, ${count("approved")} approved, ${count("rejected")} rejected`,
      draftVersion: heads.own.draftVersion,
      lastAnalyzedAtMs: heads.own.analyzedAtMs,
    } satisfies DraftPolicy
  }),
)

const approve = unary(access.approveDraftChunk, (request: ChunkApproval, context) =>
  Effect.flatMap(named(context, request), (sandbox) =>
    Approval.approve(sandbox, request.chunkId, request.reviewToken),
  ),
)

const approveAll = unary(access.approveAllDraftChunks, (request: ApproveAll, context) =>
  Effect.flatMap(named(context, request), (sandbox) => Approval.approveAll(sandbox, request)),
)

const reject = unary(access.rejectDraftChunk, (request: ChunkRejection, context) =>
  Effect.flatMap(named(context, request), (sandbox) =>
    Approval.reject(sandbox, request.chunkId, request.reason),
  ),
)

const edit = unary(access.editDraftChunk, (request: ChunkEdit, context) =>
  Effect.flatMap(named(context, request), (sandbox) => Approval.edit(sandbox, request.chunkId, request.rule)),
)

const undo = unary(access.undoDraftChunk, (request: ChunkRef, context) =>
  Effect.flatMap(named(context, request), (sandbox) => Approval.undo(sandbox, request.chunkId)),
)

const clear = unary(access.clearDraftChunks, (request: SandboxRef, context) =>
  Effect.flatMap(named(context, request), Approval.clear),
)

const history = unary(access.getDraftHistory, (request: SandboxRef, context) =>
  Effect.gen(function* () {
    const sandbox = yield* named(context, request)
    const drafts = yield* Drafts
    return yield* drafts.history(sandbox.id)
  }),
)

export const draftOperations = {
  submit: submitAnalysis,
  get,
  approve,
  approveAll,
  reject,
  edit,
  undo,
  clear,
  history,
}
