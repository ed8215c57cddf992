/** Configuration, policies and proposals over a gateway's connection. Names of sandboxes are those of its workspace. */
import { Effect } from "effect"
import type { ApproveAll, ChunkApproval, ChunkEdit, ChunkRef, ChunkRejection } from "../domain/DraftPolicy.ts"
import { NotFound } from "../domain/Errors.ts"
import type { PolicySummary } from "../domain/Policy.ts"
import type { ConfigUpdate, PolicyStatusReply, SandboxConfig } from "../domain/SandboxConfig.ts"
import { configCalls } from "../wire/openshell-v1/Config.ts"
import { draftCalls } from "../wire/openshell-v1/Drafts.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { pages } from "./Pages.ts"

const repeatable = { repeatable: true } as const

/** Whose policy or settings: a sandbox's, or those of the whole gateway. */
export type Subject = { readonly sandbox: string } | { readonly global: true }

const named = (gateway: GatewayClientService, subject: Subject) =>
  "global" in subject
    ? { name: "", workspace: "", global: true }
    : { name: subject.sandbox, workspace: gateway.workspace, global: false }

/** What is in force in a sandbox. */
export const sandboxConfig = (
  gateway: GatewayClientService,
  sandbox: string,
): Effect.Effect<SandboxConfig, ClientError> =>
  Effect.flatMap(gateway.getSandbox(sandbox), ({ id }) => gateway.call(configCalls.get, id, repeatable))

export const gatewayConfig = (gateway: GatewayClientService) =>
  gateway.call(configCalls.gateway, undefined, repeatable)

/** One change; what is left out is not asked for. */
export const updateConfig = (
  gateway: GatewayClientService,
  subject: Subject,
  change: Partial<Omit<ConfigUpdate, "name" | "workspace" | "global">>,
) =>
  gateway.call(configCalls.update, {
    policy: undefined,
    settingKey: "",
    settingValue: undefined,
    deleteSetting: false,
    mergeOperations: [],
    expectedResourceVersion: 0,
    annotations: {},
    ...change,
    ...named(gateway, subject),
  })

/** That version, or the latest with 0. */
export const policyStatus = (
  gateway: GatewayClientService,
  subject: Subject,
  version: number,
): Effect.Effect<PolicyStatusReply, ClientError> =>
  Effect.flatMap(
    gateway.call(configCalls.policyStatus, { ...named(gateway, subject), version }, repeatable),
    (reply) =>
      reply === undefined
        ? Effect.fail(new NotFound({ message: "policy revision not found" }))
        : Effect.succeed(reply),
  )

/** Newest first; follows pages until the limit or the end. */
export const listPolicies = (
  gateway: GatewayClientService,
  subject: Subject,
  limit?: number,
): Effect.Effect<ReadonlyArray<PolicySummary>, ClientError> =>
  pages(
    (offset, size) =>
      gateway.call(configCalls.policies, { ...named(gateway, subject), offset, limit: size }, repeatable),
    limit,
  )

type Named<T> = Omit<T, "workspace">
const within = <T extends object>(gateway: GatewayClientService, request: T) => ({
  ...request,
  workspace: gateway.workspace,
})

/** `status`: empty for all. */
export const draftPolicy = (gateway: GatewayClientService, name: string, status: string) =>
  gateway.call(draftCalls.get, within(gateway, { name, status }), repeatable)

export const approveChunk = (gateway: GatewayClientService, chunk: Named<ChunkApproval>) =>
  gateway.call(draftCalls.approve, within(gateway, chunk))

export const approveChunks = (gateway: GatewayClientService, request: Named<ApproveAll>) =>
  gateway.call(draftCalls.approveAll, within(gateway, request))

export const rejectChunk = (gateway: GatewayClientService, chunk: Named<ChunkRejection>) =>
  gateway.call(draftCalls.reject, within(gateway, chunk))

export const editChunk = (gateway: GatewayClientService, chunk: Named<ChunkEdit>) =>
  gateway.call(draftCalls.edit, within(gateway, chunk))

export const undoChunk = (gateway: GatewayClientService, chunk: Named<ChunkRef>) =>
  gateway.call(draftCalls.undo, within(gateway, chunk))

/** How many pending chunks were given up. */
export const clearChunks = (gateway: GatewayClientService, name: string) =>
  gateway.call(draftCalls.clear, within(gateway, { name }))

/** Oldest first. */
export const draftHistory = (gateway: GatewayClientService, name: string) =>
  gateway.call(draftCalls.history, within(gateway, { name }), repeatable)
