/** Proposals for policies (contract 1.3). */
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { refuses, type StatusRow } from "../../kit/StatusTable.ts"
import { configured } from "./Config.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, PERMISSION_DENIED } = Status

const after = { after: configured }

export const draftRows: ReadonlyArray<StatusRow> = [
  refuses(method.submitPolicyAnalysis, "no name", {}, INVALID_ARGUMENT, "name is required", {
    sandbox: configured,
  }),
  ...[method.submitPolicyAnalysis, method.getDraftPolicy].map((one) =>
    refuses(
      one,
      "another sandbox's name",
      { name: "other" },
      PERMISSION_DENIED,
      "sandbox not found or not owned by caller",
      { sandbox: configured },
    ),
  ),
  refuses(method.getDraftPolicy, "no name", {}, INVALID_ARGUMENT, "name is required"),
  refuses(method.getDraftPolicy, "an unknown name", { name: "nobody" }, NOT_FOUND, "sandbox not found"),
  ...[
    method.approveDraftChunk,
    method.rejectDraftChunk,
    method.editDraftChunk,
    method.undoDraftChunk,
  ].flatMap((one) => [
    refuses(one, "no chunk id", { name: "configured" }, INVALID_ARGUMENT, "chunk_id is required", after),
    refuses(
      one,
      "an unknown chunk",
      { name: "configured", chunkId: "gone" },
      NOT_FOUND,
      "chunk not found",
      after,
    ),
  ]),
  refuses(
    method.approveAllDraftChunks,
    "no pending chunks",
    { name: "configured" },
    FAILED_PRECONDITION,
    "no pending chunks to approve",
    after,
  ),
]
