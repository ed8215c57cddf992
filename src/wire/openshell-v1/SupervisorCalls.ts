/** What supervisors ask besides their session: exit, configuration, tokens, inference (contract 2.1, 2.3, 2.10, 2.11). */
import type { IssuedToken, MainExit, SeenConfig } from "../../domain/SupervisorCalls.ts"
import { called, served } from "../grpc/Protobuf.ts"
import { type GetSandboxConfigResponse, OpenShell } from "../OpenShell.ts"

const { method } = OpenShell

const nothing = (): void => undefined
const empty = (_: undefined) => ({})
const same = <A>(value: A): A => value

const seenConfigOf = ({ providerEnvRevision }: GetSandboxConfigResponse): SeenConfig => ({
  providerEnvRevision: String(providerEnvRevision),
})

export const supervisorMethods = {
  reportExit: served(method.reportMainProcessExit, same<MainExit>, empty),
}

export const supervisorCalls = {
  reportExit: called(method.reportMainProcessExit, same<MainExit>, nothing),
  config: called(method.getSandboxConfig, (sandboxId: string) => ({ sandboxId }), seenConfigOf),
  providerEnvironment: called(
    method.getSandboxProviderEnvironment,
    (sandboxId: string) => ({ sandboxId, supportsStaticCredentialBindings: true }),
    ({ environment }): Readonly<Record<string, string>> => environment,
  ),
  refreshToken: called(
    method.refreshSandboxToken,
    (_: undefined) => ({}),
    ({ token, expiresAtMs }): IssuedToken => ({ token, expiresAtMs: Number(expiresAtMs) }),
  ),
}
