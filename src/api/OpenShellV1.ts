/** The OpenShell 0.0.111 wire: which method of it asks for which operation. */

import { config } from "../wire/openshell-v1/Config.ts"
import { drafts } from "../wire/openshell-v1/Drafts.ts"
import { exec } from "../wire/openshell-v1/Exec.ts"
import { forwards } from "../wire/openshell-v1/Forwards.ts"
import { identity } from "../wire/openshell-v1/Identity.ts"
import { inference } from "../wire/openshell-v1/Inference.ts"
import { logs } from "../wire/openshell-v1/Logs.ts"
import { profiles } from "../wire/openshell-v1/ProviderProfiles.ts"
import { providers } from "../wire/openshell-v1/Providers.ts"
import { sandboxes } from "../wire/openshell-v1/Sandboxes.ts"
import { services } from "../wire/openshell-v1/Services.ts"
import { session } from "../wire/openshell-v1/Session.ts"
import { sshSessions } from "../wire/openshell-v1/SshSessions.ts"
import { supervisorMethods } from "../wire/openshell-v1/SupervisorCalls.ts"
import { tokens } from "../wire/openshell-v1/Tokens.ts"
import { workspaces } from "../wire/openshell-v1/Workspaces.ts"
import { attachmentOperations } from "./AttachmentMethods.ts"
import { configOperations } from "./ConfigMethods.ts"
import { draftOperations } from "./DraftMethods.ts"
import { bind } from "./Endpoint.ts"
import { execOperations } from "./ExecMethods.ts"
import { forwardOperations } from "./ForwardMethods.ts"
import { identityOperations } from "./IdentityMethods.ts"
import { inferenceOperations } from "./InferenceMethods.ts"
import { logOperations } from "./LogMethods.ts"
import { profileOperations } from "./ProfileMethods.ts"
import { providerOperations } from "./ProviderMethods.ts"
import { sandboxOperations } from "./SandboxMethods.ts"
import { serviceOperations } from "./ServiceMethods.ts"
import { sshSessionOperations } from "./SshSessionMethods.ts"
import { supervisorOperations } from "./SupervisorMethods.ts"
import { tokenOperations } from "./TokenMethods.ts"
import { watchOperations } from "./WatchMethods.ts"
import { workspaceOperations } from "./WorkspaceMethods.ts"

export const openShellV1 = [
  bind(identity.health, identityOperations.health),
  bind(identity.getGatewayInfo, identityOperations.getGatewayInfo),
  bind(identity.getCurrentUser, identityOperations.getCurrentUser),

  bind(sandboxes.create, sandboxOperations.create),
  bind(sandboxes.get, sandboxOperations.get),
  bind(sandboxes.list, sandboxOperations.list),
  bind(sandboxes.delete, sandboxOperations.delete),
  bind(sandboxes.stop, sandboxOperations.stop),
  bind(sandboxes.start, sandboxOperations.start),

  bind(logs.get, logOperations.get),
  bind(logs.push, logOperations.push),
  bind(logs.watch, watchOperations.watch),

  bind(workspaces.create, workspaceOperations.create),
  bind(workspaces.get, workspaceOperations.get),
  bind(workspaces.list, workspaceOperations.list),
  bind(workspaces.delete, workspaceOperations.delete),
  bind(workspaces.addMember, workspaceOperations.addMember),
  bind(workspaces.removeMember, workspaceOperations.removeMember),
  bind(workspaces.listMembers, workspaceOperations.listMembers),

  bind(services.expose, serviceOperations.expose),
  bind(services.get, serviceOperations.get),
  bind(services.list, serviceOperations.list),
  bind(services.delete, serviceOperations.delete),

  bind(config.get, configOperations.get),
  bind(config.gateway, configOperations.gateway),
  bind(config.update, configOperations.update),
  bind(config.policyStatus, configOperations.policyStatus),
  bind(config.policies, configOperations.policies),
  bind(config.report, configOperations.report),

  bind(drafts.submit, draftOperations.submit),
  bind(drafts.get, draftOperations.get),
  bind(drafts.approve, draftOperations.approve),
  bind(drafts.approveAll, draftOperations.approveAll),
  bind(drafts.reject, draftOperations.reject),
  bind(drafts.edit, draftOperations.edit),
  bind(drafts.undo, draftOperations.undo),
  bind(drafts.clear, draftOperations.clear),
  bind(drafts.history, draftOperations.history),

  bind(sshSessions.create, sshSessionOperations.create),
  bind(sshSessions.revoke, sshSessionOperations.revoke),
  bind(forwards.forward, forwardOperations.forward),
  bind(forwards.relay, forwardOperations.relay),
  bind(exec.run, execOperations.run),
  bind(exec.interactive, execOperations.interactive),

  bind(session.connect, supervisorOperations.connect),
  bind(supervisorMethods.reportExit, supervisorOperations.reportExit),

  bind(tokens.issue, tokenOperations.issue),
  bind(tokens.refresh, tokenOperations.refresh),

  bind(providers.create, providerOperations.create),
  bind(providers.get, providerOperations.get),
  bind(providers.list, providerOperations.list),
  bind(providers.update, providerOperations.update),
  bind(providers.delete, providerOperations.delete),
  bind(providers.refreshStatus, providerOperations.refreshStatus),
  bind(providers.configureRefresh, providerOperations.configureRefresh),
  bind(providers.rotateCredential, providerOperations.rotateCredential),
  bind(providers.deleteRefresh, providerOperations.deleteRefresh),
  bind(providers.ofSandbox, attachmentOperations.ofSandbox),
  bind(providers.attach, attachmentOperations.attach),
  bind(providers.detach, attachmentOperations.detach),
  bind(providers.environment, attachmentOperations.environment),

  bind(profiles.list, profileOperations.list),
  bind(profiles.get, profileOperations.get),
  bind(profiles.lint, profileOperations.lint),
  bind(profiles.import, profileOperations.import),
  bind(profiles.update, profileOperations.update),
  bind(profiles.delete, profileOperations.delete),

  bind(inference.set, inferenceOperations.set),
  bind(inference.get, inferenceOperations.get),
  bind(inference.delete, inferenceOperations.delete),
  bind(inference.bundle, inferenceOperations.bundle),
]
