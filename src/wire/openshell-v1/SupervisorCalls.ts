/** What supervisors ask besides their session: exit, environment, tokens (contract 2.1, 2.3, 2.7). */
import type { IssuedToken, MainExit, ProviderVariables } from "../../domain/SupervisorCalls.ts"
import { called, empty, nothing, same, served } from "../grpc/Protobuf.ts"
import { OpenShell } from "./Generated.ts"

const { method } = OpenShell

export const supervisorMethods = {
  reportExit: served(method.reportMainProcessExit, same<MainExit>, empty),
}

export const supervisorCalls = {
  reportExit: called(method.reportMainProcessExit, same<MainExit>, nothing),
  providerEnvironment: called(
    method.getSandboxProviderEnvironment,
    (sandboxId: string) => ({ sandboxId, supportsStaticCredentialBindings: true }),
    ({ environment, credentialExpiresAtMs }): ProviderVariables => ({
      variables: environment,
      expiresAtMs: Object.values(credentialExpiresAtMs).map(Number),
    }),
  ),
  refreshToken: called(
    method.refreshSandboxToken,
    (_: undefined) => ({}),
    ({ token, expiresAtMs }): IssuedToken => ({ token, expiresAtMs: Number(expiresAtMs) }),
  ),
}
