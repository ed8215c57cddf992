/** Workspaces: who may see and change which sandboxes. */
import { Schema } from "effect"

/** `admin` also manages members, providers and policies of the workspace. */
export const WorkspaceRole = Schema.Literal("user", "admin")
export type WorkspaceRole = typeof WorkspaceRole.Type

/** What a request that names no workspace is about; it exists always. */
export const defaultWorkspace = "default"

export interface Workspace {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAtMs: number
  readonly resourceVersion: number
  /** 0 unless it is being deleted. */
  readonly deletionTimestampMs: number
}

export interface WorkspaceMember {
  readonly id: string
  readonly workspace: string
  /** Who: the subject of a user's credentials. */
  readonly subject: string
  readonly role: WorkspaceRole
  readonly createdAtMs: number
  readonly resourceVersion: number
}

export const isTerminating = (workspace: Workspace): boolean => workspace.deletionTimestampMs > 0

export const workspaceNotFound = (name: string): string => `workspace '${name}' not found`
export const workspaceTerminating = (name: string): string => `workspace '${name}' is being deleted`

export interface NewWorkspace {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

export interface WorkspacesQuery {
  /** 0 leaves it to the gateway. */
  readonly limit: number
  readonly offset: number
  /** `k=v,k2=v2` */
  readonly labelSelector: string
}

/** An empty workspace is the default one. */
export interface MemberName {
  readonly workspace: string
  readonly subject: string
}

export interface NewMember extends MemberName {
  /** Absent where the request names none that this gateway knows. */
  readonly role?: WorkspaceRole
}

export interface MembersQuery {
  readonly workspace: string
  /** 0 leaves it to the gateway. */
  readonly limit: number
  readonly offset: number
}
