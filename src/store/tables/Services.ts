/** Migration 5: ports of sandboxes that are exposed as services. */
import type { Migration } from "../Tables.ts"

export const services: Migration = {
  id: 5,
  name: "services",
  // Workspace and sandbox name are read from the sandbox: an endpoint never outlives it.
  statements: ({ bigint }) => [
    `CREATE TABLE service_endpoints (
       id text PRIMARY KEY,
       sandbox_id text NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
       service_name text NOT NULL,
       target_port integer NOT NULL,
       created_at_ms ${bigint} NOT NULL,
       resource_version ${bigint} NOT NULL,
       UNIQUE (sandbox_id, service_name))`,
    "CREATE INDEX service_endpoints_by_age ON service_endpoints (created_at_ms, id)",
  ],
}
