/**
 * Configuration per scope: a sandbox, or the whole gateway. What is in force is one row, the head; every change is
 * a compare-and-swap on its revision and tells the other replicas with the same statement.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { type Conflict, concurrentModification, NotFound, type Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { PolicyRevision, PolicySummary } from "../domain/Policy.ts"
import { makeAnnounce } from "./Announce.ts"
import {
  decodeHeads,
  decodeRevisions,
  decodeSummaries,
  encodePolicy,
  encodeTexts,
  globalScope,
  type Head,
  HeadMoved,
  headColumns,
  headsOf,
  noHead,
  toRevision,
  toSummary,
} from "./ConfigRows.ts"
import { Database } from "./Database.ts"
import { type DraftChange, makeDraftWrites } from "./DraftWrites.ts"
import { storable } from "./History.ts"
import { makeWriteSetting, type SettingChange } from "./SettingWrite.ts"
import { shared } from "./SharedStatements.ts"
import { guard, isMissingParent } from "./SqlErrors.ts"

export interface Heads {
  readonly own: Head
  readonly global: Head
}

/** What a change does besides replacing the head. */
export interface ConfigChange {
  readonly scope: string
  /** As it was read: the change is made only if it still holds. */
  readonly from: Head
  readonly to: Head
  /** A policy that becomes the latest. */
  readonly added?: PolicyRevision
  /** Counts as a change of settings. */
  readonly countSettings?: boolean
  /** Advances the sandbox's resource version, if it is still this one; 0: whichever it is. */
  readonly expectedResourceVersion?: number
  /** Nothing in it changes what a sandbox runs by. */
  readonly quiet?: boolean
  readonly drafts?: DraftChange
}

type WriteError = HeadMoved | Conflict | NotFound | Unavailable

export class Configs extends Context.Tag("holdfast/Configs")<
  Configs,
  {
    /** Of a sandbox and of the gateway, by one statement. */
    readonly heads: (scope: string) => Effect.Effect<Heads, Unavailable>
    /** Revisions of both heads: what tells whether anything changed. */
    readonly revisions: (
      scope: string,
    ) => Effect.Effect<{ readonly own: number; readonly global: number }, Unavailable>
    /** Scopes that changed since then, at most so many. */
    readonly changedSince: (
      sinceMs: number,
      count: number,
    ) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /** All of it or nothing; returns the counter of settings. */
    readonly write: (change: ConfigChange) => Effect.Effect<number, WriteError>
    /** That version, or the latest with 0. */
    readonly policy: (
      scope: string,
      version: number,
    ) => Effect.Effect<Option.Option<PolicyRevision>, Unavailable>
    /** Newest first. */
    readonly policies: (
      scope: string,
      limit: number,
      offset: number,
    ) => Effect.Effect<ReadonlyArray<PolicySummary>, Unavailable>
    /** Notes what a supervisor made of a version; loading one supersedes those before. False: no such version. */
    readonly report: (
      scope: string,
      version: number,
      outcome: { readonly status: "loaded" | "failed"; readonly loadError: string },
    ) => Effect.Effect<boolean, Unavailable>
    /** Marks every revision of the scope superseded. */
    readonly retire: (scope: string) => Effect.Effect<void, Unavailable>
  }
>() {}

const Numbers = Schema.Array(Schema.Struct({ scope: Schema.String, revision: Schema.Number }))
const Scopes = Schema.Array(Schema.Struct({ scope: Schema.String }))
const Counter = Schema.Array(Schema.Struct({ settings_revision: Schema.Number }))
const Versions = Schema.Array(Schema.Struct({ resource_version: Schema.Number }))

/** A change that is no more than a setting of one sandbox. */
const onlySetting = (change: ConfigChange): SettingChange | undefined => {
  const { scope, from, to, added, drafts, countSettings, expectedResourceVersion, quiet } = change
  const isMore = added !== undefined || drafts !== undefined || quiet === true || countSettings !== true
  return isMore || scope === globalScope || expectedResourceVersion === undefined
    ? undefined
    : { scope, from, to, expectedResourceVersion }
}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* Database
  const announce = yield* makeAnnounce
  const drafts = yield* makeDraftWrites
  const writeSetting = yield* makeWriteSetting

  const headsOfAll = (keys: ReadonlyArray<readonly [scope: string]>) =>
    sql`SELECT * FROM config_heads WHERE scope IN ${sql.in([...keys.flat(), globalScope])}`.pipe(
      Effect.flatMap(decodeHeads),
      Effect.map((rows) => {
        const found = headsOf(rows)
        const global = found.get(globalScope) ?? noHead
        return keys.map((key) => [key, { own: found.get(key[0]) ?? noHead, global }] as const)
      }),
    )

  const heads = yield* shared<readonly [scope: string], Heads>({
    operation: "config read",
    keyOf: (key) => key,
    one: (key) =>
      Effect.map(headsOfAll([key]), ([found]) => Option.map(Option.fromNullable(found), ([, both]) => both)),
    many: headsOfAll,
  })

  const revisions = (scope: string) =>
    sql`SELECT scope, revision FROM config_heads WHERE scope IN ${sql.in([scope, globalScope])}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Numbers)),
      Effect.map((rows) => {
        const of = (wanted: string) => rows.find((row) => row.scope === wanted)?.revision ?? 0
        return { own: of(scope), global: of(globalScope) }
      }),
    )

  const changedSince = (sinceMs: number, count: number) =>
    sql`SELECT scope FROM config_heads WHERE changed_at_ms >= ${sinceMs}
        ORDER BY changed_at_ms DESC LIMIT ${count}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Scopes)),
      Effect.map((rows) => rows.map(({ scope }) => scope)),
    )

  const currentVersion = (scope: string) =>
    (scope === globalScope
      ? sql`SELECT revision AS resource_version FROM config_heads WHERE scope = ${scope}`
      : sql`SELECT resource_version FROM sandboxes WHERE id = ${scope}`
    ).pipe(
      Effect.flatMap(Schema.decodeUnknown(Versions)),
      Effect.map(([row]) => row?.resource_version ?? 0),
    )

  const advance = (sandboxId: string, expected: number) =>
    Effect.gen(function* () {
      const still = expected === 0 ? sql`1 = 1` : sql`resource_version = ${expected}`
      const rows = yield* sql`UPDATE sandboxes SET resource_version = resource_version + 1
        WHERE id = ${sandboxId} AND ${still} RETURNING resource_version`
      if (rows.length > 0) return
      const current = yield* currentVersion(sandboxId)
      if (current === 0) return yield* new NotFound({ message: "sandbox not found" })
      return yield* concurrentModification("config update", current)
    })

  const put = ({ scope, from, to, quiet = false }: ConfigChange, nowMs: number) =>
    Effect.gen(function* () {
      const values = headColumns({ ...to, revision: from.revision + 1 }, nowMs)
      const sandbox_id = scope === globalScope ? null : scope
      const written = sql<object>`INSERT INTO config_heads
        ${sql.insert({ scope, sandbox_id, settings_revision: 0, ...values })}
        ON CONFLICT (scope) DO UPDATE SET ${sql.update(values, [])}
        WHERE config_heads.revision = ${from.revision} RETURNING scope`
      const rows = yield* announce(quiet ? "draft" : "config", scope, written)
      if (rows.length === 0) return yield* new HeadMoved({ current: yield* currentVersion(scope) })
    })

  const countSettings = (nowMs: number) =>
    sql`INSERT INTO config_heads ${sql.insert({
      scope: globalScope,
      sandbox_id: null,
      settings_revision: 1,
      ...headColumns(noHead, nowMs),
    })} ON CONFLICT (scope) DO UPDATE SET settings_revision = config_heads.settings_revision + 1
      RETURNING settings_revision`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Counter)),
      Effect.map(([row]) => row?.settings_revision ?? 0),
    )

  const addRevision = (scope: string, revision: PolicyRevision) =>
    Effect.gen(function* () {
      yield* sql`INSERT INTO policy_revisions ${sql.insert({
        scope,
        sandbox_id: scope === globalScope ? null : scope,
        version: revision.version,
        policy: encodePolicy(revision.policy),
        hash: revision.hash,
        status: revision.status,
        load_error: storable(revision.loadError),
        created_at_ms: revision.createdAtMs,
        loaded_at_ms: revision.loadedAtMs,
        provenance: encodeTexts(revision.provenance),
      })}`
      // The first stays: it says what the sandbox was started with.
      yield* sql`DELETE FROM policy_revisions WHERE scope = ${scope} AND version > 1
        AND version < ${revision.version - limits.policyRevisionsKept}`
      if (revision.status === "loaded") yield* supersede(scope, revision.version)
    })

  const supersede = (scope: string, before: number) =>
    sql`UPDATE policy_revisions SET status = 'superseded'
      WHERE scope = ${scope} AND version < ${before} AND status IN ('pending', 'loaded')`

  const writeInSteps = (change: ConfigChange) =>
    Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      if (change.expectedResourceVersion !== undefined)
        yield* advance(change.scope, change.expectedResourceVersion)
      yield* put(change, nowMs)
      if (change.added !== undefined) yield* addRevision(change.scope, change.added)
      if (change.drafts !== undefined) yield* drafts.write(change.scope, change.drafts)
      return change.countSettings === true ? yield* countSettings(nowMs) : change.to.settingsRevision
    }).pipe(
      Effect.catchIf(isMissingParent, () => new NotFound({ message: "sandbox not found" })),
      database.transaction,
    )

  const report = (
    scope: string,
    version: number,
    { status, loadError }: { readonly status: "loaded" | "failed"; readonly loadError: string },
  ) =>
    Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      const loaded_at_ms = status === "loaded" ? nowMs : 0
      // A report that comes after a later version was loaded changes nothing.
      const found = yield* sql`UPDATE policy_revisions SET
          status = CASE WHEN status = 'superseded' THEN status ELSE ${status} END,
          load_error = ${storable(loadError)},
          loaded_at_ms = CASE WHEN loaded_at_ms > 0 THEN loaded_at_ms ELSE ${loaded_at_ms} END
        WHERE scope = ${scope} AND version = ${version} RETURNING version`
      if (found.length > 0 && status === "loaded") yield* supersede(scope, version)
      return found.length > 0
    }).pipe(database.transaction)

  return Configs.of({
    heads: (scope) =>
      Effect.map(
        heads([scope]),
        Option.getOrElse(() => ({ own: noHead, global: noHead })),
      ),
    revisions: (scope) => revisions(scope).pipe(guard("config revisions")),
    changedSince: (sinceMs, count) => changedSince(sinceMs, count).pipe(guard("config changes")),
    write: (change) => {
      const setting = database.dialect === "postgres" ? onlySetting(change) : undefined
      return setting === undefined ? writeInSteps(change).pipe(guard("config write")) : writeSetting(setting)
    },
    policy: (scope, version) =>
      (version === 0
        ? sql`SELECT * FROM policy_revisions WHERE scope = ${scope} ORDER BY version DESC LIMIT 1`
        : sql`SELECT * FROM policy_revisions WHERE scope = ${scope} AND version = ${version}`
      ).pipe(
        Effect.flatMap(decodeRevisions),
        Effect.map(([row]) => Option.map(Option.fromNullable(row), toRevision)),
        guard("policy read"),
      ),
    policies: (scope, limit, offset) =>
      sql`SELECT version, hash, status, load_error, created_at_ms, loaded_at_ms, provenance
        FROM policy_revisions WHERE scope = ${scope} ORDER BY version DESC
        LIMIT ${limit} OFFSET ${offset}`.pipe(
        Effect.flatMap(decodeSummaries),
        Effect.map((rows) => rows.map(toSummary)),
        guard("policy list"),
      ),
    report: (scope, version, outcome) => report(scope, version, outcome).pipe(guard("policy report")),
    retire: (scope) =>
      sql`UPDATE policy_revisions SET status = 'superseded' WHERE scope = ${scope}`.pipe(
        Effect.asVoid,
        guard("policy retire"),
      ),
  })
})

export const layer: Layer.Layer<Configs, never, SqlClient.SqlClient | Database> = Layer.effect(Configs, make)
