/** Migration 7: providers with their sealed credentials, and inference routes. */
import type { Migration } from "../Tables.ts"

export const providers: Migration = {
  id: 7,
  name: "providers and inference",
  statements: ({ bigint }) => [
    `CREATE TABLE providers (
       id text PRIMARY KEY,
       workspace text NOT NULL,
       name text NOT NULL,
       type text NOT NULL,
       created_at_ms ${bigint} NOT NULL,
       labels text NOT NULL,
       annotations text NOT NULL,
       config text NOT NULL,
       profile_workspace text NOT NULL,
       credential_keys text NOT NULL,
       credential_expires_at_ms text NOT NULL,
       sealed_credentials text NOT NULL,
       encryption_key text NOT NULL,
       resource_version ${bigint} NOT NULL,
       UNIQUE (workspace, name))`,
    "CREATE INDEX providers_by_age ON providers (created_at_ms, id)",
    "CREATE INDEX providers_by_encryption_key ON providers (encryption_key)",
    `CREATE TABLE inference_routes (
       id text PRIMARY KEY,
       workspace text NOT NULL,
       route_name text NOT NULL,
       provider_name text NOT NULL,
       model_id text NOT NULL,
       timeout_secs ${bigint} NOT NULL,
       created_at_ms ${bigint} NOT NULL,
       version ${bigint} NOT NULL,
       UNIQUE (workspace, route_name))`,
  ],
}
