/** `holdfast policy get|set|update|list|status|delete`. */
import { Clock, Effect } from "effect"
import type { ClientError, GatewayClientService } from "../../client/GatewayClient.ts"
import {
  listPolicies,
  policyStatus,
  type Subject,
  sandboxConfig,
  updateConfig,
} from "../../client/Policies.ts"
import { limits } from "../../domain/Limits.ts"
import type { PolicySummary, SandboxPolicy } from "../../domain/Policy.ts"
import { type ConfigUpdated, type PolicyStatusReply, policySettingKey } from "../../domain/SandboxConfig.ts"
import { CliFailure, usageFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { flag, mapOption, numberOption, operand, textOption, unlessNegated } from "../Options.ts"
import { print, printJson, printListing, printOutcome, renderFields, say } from "../Output.ts"
import { policyYaml, readPolicy } from "../PolicyFile.ts"
import { formatAge } from "../text/Duration.ts"
import { operationsOf } from "./PolicyOperations.ts"

/** The sandbox of the first operand, or all with `--global`. */
const subjectOf = (invocation: Invocation): Effect.Effect<Subject, CliFailure> => {
  const sandbox = operand(invocation, 0)
  const isGlobal = flag(invocation, "global")
  if (isGlobal !== (sandbox === ""))
    return Effect.fail(usageFailure("name a sandbox, or say --global", "See `holdfast policy --help`."))
  return Effect.succeed(isGlobal ? { global: true } : { sandbox })
}

const called = (subject: Subject): string =>
  "global" in subject ? "the global policy" : `the policy of sandbox "${subject.sandbox}"`

const attempt = (subject: Subject, verb: string) => ({
  action: `${verb} ${called(subject)}`,
  ...("global" in subject ? {} : { sandbox: subject.sandbox }),
})

const isoOf = (timeMs: number): string => (timeMs === 0 ? "" : new Date(timeMs).toISOString())

const revisionJson = ({ createdAtMs, loadedAtMs, ...rest }: PolicySummary): unknown => ({
  ...rest,
  createdAt: isoOf(createdAtMs),
  loadedAt: isoOf(loadedAtMs),
})

const printPolicy = ({ globals }: Invocation, policy: SandboxPolicy): Effect.Effect<void> =>
  globals.output === "json" ? printJson(policy) : print(policyYaml(policy))

export const policyGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(invocation)
    const gateway = yield* openGateway(invocation)
    const reading = attempting(gateway, attempt(subject, "get"))
    if (flag(invocation, "effective") && !("global" in subject)) {
      const { policy } = yield* reading(sandboxConfig(gateway, subject.sandbox))
      if (policy === undefined) yield* say(`Sandbox "${subject.sandbox}" has no policy.`)
      else yield* printPolicy(invocation, policy)
      return 0
    }
    const version = numberOption(invocation, "policyVersion") ?? 0
    const { revision } = yield* reading(policyStatus(gateway, subject, version))
    yield* printPolicy(invocation, revision.policy)
    return 0
  })

/** Waits until the supervisor has answered for the version; fails with what it says. */
const untilLoaded = (gateway: GatewayClientService, subject: Subject, version: number, timeoutMs: number) => {
  const answered: Effect.Effect<PolicyStatusReply, ClientError> = Effect.flatMap(
    policyStatus(gateway, subject, version),
    (reply) =>
      reply.revision.status === "pending"
        ? Effect.delay(answered, limits.policyWaitPollMs)
        : Effect.succeed(reply),
  )
  return answered.pipe(
    Effect.timeoutFail({
      duration: timeoutMs,
      onTimeout: () =>
        new CliFailure({
          what: `version ${version} is stored, but the sandbox has not answered for it in time`,
          next: "`holdfast policy status` shows when it does.",
          exitCode: 11,
        }),
    }),
    Effect.filterOrFail(
      ({ revision }) => revision.status !== "failed",
      ({ revision }) =>
        new CliFailure({
          what: `version ${version} is stored, but not in force`,
          why: revision.loadError,
          exitCode: 7,
        }),
    ),
  )
}

const finish = (
  invocation: Invocation,
  gateway: GatewayClientService,
  subject: Subject,
  updated: ConfigUpdated,
) =>
  Effect.gen(function* () {
    const { timeoutMs = limits.policyWaitMs } = invocation.globals
    if (flag(invocation, "wait") && !("global" in subject))
      yield* attempting(
        gateway,
        attempt(subject, "wait for"),
      )(untilLoaded(gateway, subject, updated.version, timeoutMs))
    const told = say(`Version ${updated.version} is ${called(subject)} now.`)
    yield* printOutcome(invocation, { json: updated, name: String(updated.version), told })
    return 0
  })

const changed = (invocation: Invocation, subject: Subject, change: Parameters<typeof updateConfig>[2]) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const updated = yield* updateConfig(gateway, subject, {
      ...change,
      annotations: mapOption(invocation, "annotation"),
    }).pipe(attempting(gateway, attempt(subject, "change")))
    return yield* finish(invocation, gateway, subject, updated)
  })

export const policySet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(invocation)
    const policy = yield* readPolicy(textOption(invocation, "policy") ?? "-")
    return yield* changed(invocation, subject, { policy })
  })

export const policyUpdate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const mergeOperations = yield* operationsOf(invocation)
    return yield* changed(invocation, { sandbox: operand(invocation, 0) }, { mergeOperations })
  })

export const policyDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const { deleted } = yield* updateConfig(
      gateway,
      { global: true },
      { settingKey: policySettingKey, deleteSetting: true },
    ).pipe(attempting(gateway, { action: "delete the global policy" }))
    if (invocation.globals.output === "json") yield* printJson({ deleted })
    else yield* say(deleted ? "Deleted the global policy." : "There is no global policy.")
    return 0
  })

export const policyList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(invocation)
    const gateway = yield* openGateway(invocation)
    const rows = yield* listPolicies(gateway, subject, numberOption(invocation, "limit")).pipe(
      attempting(gateway, attempt(subject, "list versions of")),
    )
    const nowMs = yield* Clock.currentTimeMillis
    yield* printListing(invocation, {
      rows,
      columns: [
        { heading: "VERSION", value: ({ version }) => String(version) },
        { heading: "STATUS", value: ({ status }) => status },
        { heading: "HASH", value: ({ hash }) => hash.slice(0, 12) },
        { heading: "AGE", value: ({ createdAtMs }) => formatAge(nowMs - createdAtMs) },
      ],
      wide: [
        { heading: "LOADED", value: ({ loadedAtMs }) => isoOf(loadedAtMs) },
        { heading: "ERROR", value: ({ loadError }) => loadError },
      ],
      json: revisionJson,
      name: ({ version }) => String(version),
      empty: `There is no version of ${called(subject)}.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

export const policyShowStatus: Implementation = (invocation) =>
  Effect.gen(function* () {
    const subject = yield* subjectOf(invocation)
    const gateway = yield* openGateway(invocation)
    const version = numberOption(invocation, "policyVersion") ?? 0
    const { revision, activeVersion } = yield* policyStatus(gateway, subject, version).pipe(
      attempting(gateway, attempt(subject, "get the status of")),
    )
    if (invocation.globals.output === "json")
      yield* printJson({ revision: revisionJson(revision), activeVersion })
    else
      yield* print(
        renderFields([
          ["Version", String(revision.version)],
          ["Status", revision.status],
          ["Error", revision.loadError],
          ["Hash", revision.hash],
          ["Created", isoOf(revision.createdAtMs)],
          ["Loaded", isoOf(revision.loadedAtMs)],
          ["In force", activeVersion === 0 ? "none" : `version ${activeVersion}`],
          ...Object.entries(revision.provenance),
        ]),
      )
    return 0
  })
