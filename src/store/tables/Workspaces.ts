/** Migration 4: workspaces can be deleted, and have members. */
import type { Migration } from "../Tables.ts"

export const workspaces: Migration = {
  id: 4,
  name: "workspaces",
  statements: ({ bigint }) => [
    `ALTER TABLE workspaces ADD COLUMN deletion_timestamp_ms ${bigint} NOT NULL DEFAULT 0`,
    `CREATE TABLE workspace_members (
       workspace text NOT NULL REFERENCES workspaces (name) ON DELETE CASCADE,
       subject text NOT NULL,
       id text NOT NULL,
       role text NOT NULL,
       created_at_ms ${bigint} NOT NULL,
       resource_version ${bigint} NOT NULL,
       PRIMARY KEY (workspace, subject))`,
    "CREATE INDEX workspace_members_by_subject ON workspace_members (subject, workspace)",
  ],
}
