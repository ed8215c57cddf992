/**
 * Who may call each method: one table, complete by its type. A method of the wire that is missing here, or one
 * that does not exist, fails the type-check.
 */
import type { AdminMethod } from "../wire/holdfast-v1/Admin.ts"
import type { InferenceMethod, OpenShellMethod } from "../wire/openshell-v1/MethodNames.ts"

export type Scope =
  | "sandbox:read"
  | "sandbox:write"
  | "provider:read"
  | "provider:write"
  | "config:read"
  | "config:write"
  | "inference:read"
  | "inference:write"
  | "workspace:read"
  | "workspace:write"

export type Role = "member" | "workspace-admin" | "platform-admin"

export type Access =
  /** Anyone, without credentials. */
  | { readonly caller: "anyone" }
  /** Any user who is known. */
  | { readonly caller: "user"; readonly scope?: Scope; readonly role?: Role }
  /** A sandbox, for itself. */
  | { readonly caller: "sandbox" }
  /** A sandbox for itself, or a user. */
  | { readonly caller: "either"; readonly scope: Scope; readonly role?: Role }

const anyone: Access = { caller: "anyone" }
const sandbox: Access = { caller: "sandbox" }
const user = (scope?: Scope, role?: Role): Access => ({
  caller: "user",
  ...(scope === undefined ? {} : { scope }),
  ...(role === undefined ? {} : { role }),
})
const either = (scope: Scope, role?: Role): Access => ({
  caller: "either",
  scope,
  ...(role === undefined ? {} : { role }),
})

type Table<Method extends string> = { readonly [M in Method]: Access }

/** Wire contract 1.1. */
export const openShellAccess: Table<OpenShellMethod> = {
  health: anyone,
  getCurrentUser: user(),
  getGatewayInfo: user("config:read", "platform-admin"),
  createSandbox: user("sandbox:write", "member"),
  getSandbox: user("sandbox:read", "member"),
  listSandboxes: user("sandbox:read", "member"),
  listSandboxProviders: user("sandbox:read", "member"),
  attachSandboxProvider: user("sandbox:write", "member"),
  detachSandboxProvider: user("sandbox:write", "member"),
  deleteSandbox: user("sandbox:write", "member"),
  stopSandbox: user("sandbox:write", "member"),
  startSandbox: user("sandbox:write", "member"),
  createSshSession: user("sandbox:write", "member"),
  exposeService: user("sandbox:write", "member"),
  getService: user("sandbox:read", "member"),
  listServices: user("sandbox:read", "member"),
  deleteService: user("sandbox:write", "member"),
  revokeSshSession: user("sandbox:write", "member"),
  execSandbox: user("sandbox:write", "member"),
  forwardTcp: user("sandbox:write", "member"),
  execSandboxInteractive: user("sandbox:write", "member"),
  createProvider: user("provider:write", "workspace-admin"),
  getProvider: user("provider:read", "member"),
  listProviders: user("provider:read", "member"),
  listProviderProfiles: user("provider:read", "member"),
  getProviderProfile: user("provider:read", "member"),
  importProviderProfiles: user("provider:write", "workspace-admin"),
  updateProviderProfiles: user("provider:write", "workspace-admin"),
  lintProviderProfiles: user("provider:read", "member"),
  updateProvider: user("provider:write", "workspace-admin"),
  getProviderRefreshStatus: user("provider:read", "member"),
  configureProviderRefresh: user("provider:write", "workspace-admin"),
  rotateProviderCredential: user("provider:write", "workspace-admin"),
  deleteProviderRefresh: user("provider:write", "workspace-admin"),
  deleteProvider: user("provider:write", "workspace-admin"),
  deleteProviderProfile: user("provider:write", "workspace-admin"),
  getSandboxConfig: either("config:read", "member"),
  getGatewayConfig: user("config:read"),
  updateConfig: either("config:write", "workspace-admin"),
  getSandboxPolicyStatus: user("sandbox:read", "member"),
  listSandboxPolicies: user("sandbox:read", "member"),
  reportPolicyStatus: sandbox,
  getSandboxProviderEnvironment: sandbox,
  getSandboxLogs: user("sandbox:read", "member"),
  pushSandboxLogs: sandbox,
  connectSupervisor: sandbox,
  reportMainProcessExit: sandbox,
  relayStream: sandbox,
  watchSandbox: user("sandbox:read", "member"),
  submitPolicyAnalysis: sandbox,
  getDraftPolicy: either("config:read", "member"),
  approveDraftChunk: user("config:write", "workspace-admin"),
  rejectDraftChunk: user("config:write", "workspace-admin"),
  approveAllDraftChunks: user("config:write", "workspace-admin"),
  editDraftChunk: user("config:write", "workspace-admin"),
  undoDraftChunk: user("config:write", "workspace-admin"),
  clearDraftChunks: user("config:write", "workspace-admin"),
  getDraftHistory: user("config:read", "member"),
  issueSandboxToken: sandbox,
  refreshSandboxToken: sandbox,
  createWorkspace: user("workspace:write", "platform-admin"),
  getWorkspace: user("workspace:read", "member"),
  listWorkspaces: user("workspace:read", "member"),
  deleteWorkspace: user("workspace:write", "platform-admin"),
  addWorkspaceMember: user("workspace:write", "workspace-admin"),
  removeWorkspaceMember: user("workspace:write", "workspace-admin"),
  listWorkspaceMembers: user("workspace:read", "member"),
}

export const inferenceAccess: Table<InferenceMethod> = {
  getInferenceBundle: sandbox,
  setInferenceRoute: user("inference:write", "workspace-admin"),
  getInferenceRoute: user("inference:read", "member"),
  deleteInferenceRoute: user("inference:write", "workspace-admin"),
}

export const adminAccess: Table<AdminMethod> = {
  getClusterStatus: user("config:read", "platform-admin"),
  locateSandbox: user("sandbox:read", "member"),
  drainReplica: user("config:write", "platform-admin"),
}
