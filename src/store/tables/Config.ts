/** Migration 6: configuration, what is in force per scope and how it came about. */
import type { Migration } from "../Tables.ts"

/** `scope` is a sandbox's id, or empty for the whole gateway; `sandbox_id` repeats it where rows go with a sandbox. */
export const config: Migration = {
  id: 6,
  name: "configuration",
  statements: ({ bigint }) => [
    `CREATE TABLE config_heads (
       scope text PRIMARY KEY,
       sandbox_id text REFERENCES sandboxes (id) ON DELETE CASCADE,
       revision ${bigint} NOT NULL,
       changed_at_ms ${bigint} NOT NULL,
       settings text NOT NULL,
       settings_revision ${bigint} NOT NULL,
       version ${bigint} NOT NULL,
       policy text,
       policy_hash text NOT NULL,
       draft_version ${bigint} NOT NULL,
       analyzed_at_ms ${bigint} NOT NULL)`,
    "CREATE INDEX config_heads_by_sandbox ON config_heads (sandbox_id)",
    "CREATE INDEX config_heads_by_change ON config_heads (changed_at_ms)",
    `CREATE TABLE policy_revisions (
       scope text NOT NULL,
       version ${bigint} NOT NULL,
       sandbox_id text REFERENCES sandboxes (id) ON DELETE CASCADE,
       policy text NOT NULL,
       hash text NOT NULL,
       status text NOT NULL,
       load_error text NOT NULL,
       created_at_ms ${bigint} NOT NULL,
       loaded_at_ms ${bigint} NOT NULL,
       provenance text NOT NULL,
       PRIMARY KEY (scope, version))`,
    "CREATE INDEX policy_revisions_by_sandbox ON policy_revisions (sandbox_id)",
    `CREATE TABLE draft_chunks (
       sandbox_id text NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
       id text NOT NULL,
       seq ${bigint} NOT NULL,
       status text NOT NULL,
       chunk text NOT NULL,
       PRIMARY KEY (sandbox_id, id))`,
    `CREATE TABLE draft_events (
       sandbox_id text NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
       seq ${bigint} NOT NULL,
       timestamp_ms ${bigint} NOT NULL,
       event_type text NOT NULL,
       description text NOT NULL,
       chunk_id text NOT NULL,
       PRIMARY KEY (sandbox_id, seq))`,
  ],
}
