/** What supervisors ask besides their session: exit, configuration, tokens, inference (contract 2.1, 2.3, 2.10, 2.11). */
import type {
  InferenceBundle,
  IssuedToken,
  MainExit,
  SeenConfig,
  TokenRefresh,
} from "../../domain/SupervisorCalls.ts"
import { called, served } from "../grpc/Protobuf.ts"
import { type GetSandboxConfigResponse, Inference, OpenShell } from "../OpenShell.ts"

const { method } = OpenShell

const nothing = (): void => undefined
const empty = (_: undefined) => ({})
const same = <A>(value: A): A => value
const sandboxIdOf = ({ sandboxId }: { readonly sandboxId: string }): string => sandboxId

const emptyRevision = 0n

const seenConfigOf = ({ providerEnvRevision }: GetSandboxConfigResponse): SeenConfig => ({
  providerEnvRevision: String(providerEnvRevision),
})

export const supervisorMethods = {
  reportExit: served(method.reportMainProcessExit, same<MainExit>, empty),
  providerEnvironment: served(method.getSandboxProviderEnvironment, sandboxIdOf, (_: undefined) => ({
    providerEnvRevision: emptyRevision,
  })),
  refreshToken: served(
    method.refreshSandboxToken,
    same<TokenRefresh>,
    ({ token, expiresAtMs }: IssuedToken) => ({
      token,
      expiresAtMs: BigInt(expiresAtMs),
    }),
  ),
  inferenceBundle: served(
    Inference.method.getInferenceBundle,
    nothing,
    ({ revision, generatedAtMs }: InferenceBundle) => ({
      routes: [],
      revision,
      generatedAtMs: BigInt(generatedAtMs),
    }),
  ),
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
