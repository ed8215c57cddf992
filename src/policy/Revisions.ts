/** Policies as they were, and what supervisors made of them. */
import { Effect, Option } from "effect"
import { InvalidArgument, NotFound } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { PolicyReport, PolicyStatusReply } from "../domain/SandboxConfig.ts"
import { globalScope } from "../store/ConfigRows.ts"
import { Configs } from "../store/Configs.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { materialised, retrying } from "./OwnHead.ts"

const missing = () => new NotFound({ message: "policy revision not found" })

const scopeOf = (sandbox: Sandbox | undefined) =>
  sandbox === undefined
    ? Effect.succeed(globalScope)
    : Effect.as(retrying("policy read", materialised(sandbox)), sandbox.id)

/** Of a sandbox, or of the gateway where there is none; version 0 is the latest. */
export const revisionStatus = (sandbox: Sandbox | undefined, version: number) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const scope = yield* scopeOf(sandbox)
    const found = yield* configs.policy(scope, version)
    if (Option.isNone(found)) return yield* missing()
    const { global } = yield* configs.heads(scope)
    const activeVersion =
      sandbox === undefined
        ? global.policy === undefined
          ? 0
          : global.version
        : sandbox.status.currentPolicyVersion
    return { revision: found.value, activeVersion } satisfies PolicyStatusReply
  })

/** Newest first. */
export const revisions = (
  sandbox: Sandbox | undefined,
  { limit, offset }: { readonly limit: number; readonly offset: number },
) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const scope = yield* scopeOf(sandbox)
    const size = limit === 0 ? limits.policyPageDefault : Math.min(limit, limits.listMax)
    return yield* configs.policies(scope, size, offset)
  })

/** A version once loaded stays the highest that was: an older report that comes late does not take it back. */
const markLoaded = (sandboxId: string, version: number) =>
  Effect.gen(function* () {
    const sandboxes = yield* Sandboxes
    const found = yield* sandboxes.get(sandboxId)
    if (Option.isNone(found) || found.value.status.currentPolicyVersion >= version) return
    const sandbox = found.value
    yield* sandboxes.update({ ...sandbox, status: { ...sandbox.status, currentPolicyVersion: version } })
  }).pipe(
    Effect.retry({ times: limits.configAttempts - 1, while: ({ _tag }) => _tag === "Conflict" }),
    // Without a fence there is none to be stale.
    Effect.catchTag("StaleEpoch", Effect.die),
  )

export const reportStatus = (sandbox: Sandbox, { version, status, loadError }: PolicyReport) =>
  Effect.gen(function* () {
    if (version < 1) return yield* new InvalidArgument({ message: "version is required" })
    if (status === undefined)
      return yield* new InvalidArgument({ message: "status must be LOADED or FAILED" })
    const configs = yield* Configs
    const scope = yield* scopeOf(sandbox)
    if (
      !(yield* configs.report(scope, version, {
        status,
        loadError: loadError.slice(0, limits.policyErrorLength),
      }))
    )
      return yield* missing()
    if (status === "loaded") yield* markLoaded(sandbox.id, version)
  })
