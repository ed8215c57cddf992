/** The whole store: database, migrated, and every kind of record. */
import type * as SqlClient from "@effect/sql/SqlClient"
import { Layer } from "effect"
import type { FailedPrecondition, Internal, Unavailable } from "../domain/Errors.ts"
import * as Attachments from "./Attachments.ts"
import * as Changes from "./Changes.ts"
import * as Configs from "./Configs.ts"
import * as Database from "./Database.ts"
import * as Drafts from "./Drafts.ts"
import * as Events from "./Events.ts"
import * as InferenceRoutes from "./InferenceRoutes.ts"
import * as Logs from "./Logs.ts"
import { migrate } from "./Migrations.ts"
import * as Presences from "./Presences.ts"
import * as Providers from "./Providers.ts"
import * as Sandboxes from "./Sandboxes.ts"
import * as Services from "./Services.ts"
import * as SshSessions from "./SshSessions.ts"
import * as Sweeps from "./Sweeps.ts"
import * as WorkspaceMembers from "./WorkspaceMembers.ts"
import * as Workspaces from "./Workspaces.ts"

export type Store =
  | SqlClient.SqlClient
  | Database.Database
  | Attachments.Attachments
  | Changes.Changes
  | Configs.Configs
  | Drafts.Drafts
  | Events.Events
  | InferenceRoutes.InferenceRoutes
  | Logs.Logs
  | Presences.Presences
  | Providers.Providers
  | Sandboxes.Sandboxes
  | Services.Services
  | SshSessions.SshSessions
  | Sweeps.Sweeps
  | WorkspaceMembers.WorkspaceMembers
  | Workspaces.Workspaces

const records = Layer.mergeAll(
  Attachments.layer,
  Changes.layer,
  Configs.layer,
  Drafts.layer,
  Events.layer,
  InferenceRoutes.layer,
  Logs.layer,
  Presences.layer,
  Providers.layer,
  Sandboxes.layer,
  Services.layer,
  SshSessions.layer,
  Sweeps.layer,
  WorkspaceMembers.layer,
  Workspaces.layer,
)

/** Waits for the database as `Database.layer` does, migrates it, and only then builds the rest. */
export const layer = (
  config: Database.DatabaseConfig,
): Layer.Layer<Store, Unavailable | FailedPrecondition | Internal> =>
  records.pipe(Layer.provideMerge(Layer.effectDiscard(migrate)), Layer.provideMerge(Database.layer(config)))
