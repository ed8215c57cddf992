/** SSH session tokens (contract 2.4). */
import type { SshSession } from "../../domain/SshSession.ts"
import { called, served } from "../grpc/Protobuf.ts"
import { type CreateSshSessionResponse, OpenShell } from "./Generated.ts"

const { method } = OpenShell

const sandboxIdOf = ({ sandboxId }: { readonly sandboxId: string }): string => sandboxId
const tokenOf = ({ token }: { readonly token: string }): string => token

const sessionOf = (response: CreateSshSessionResponse): SshSession => ({
  sandboxId: response.sandboxId,
  token: response.token,
  gatewayHost: response.gatewayHost,
  gatewayPort: response.gatewayPort,
  gatewayScheme: response.gatewayScheme,
  expiresAtMs: Number(response.expiresAtMs),
})

export const sshSessions = {
  create: served(method.createSshSession, sandboxIdOf, (session: SshSession) => ({
    ...session,
    expiresAtMs: BigInt(session.expiresAtMs),
  })),
  revoke: served(method.revokeSshSession, tokenOf, (revoked: boolean) => ({ revoked })),
}

export const sshSessionCalls = {
  create: called(method.createSshSession, (sandboxId: string) => ({ sandboxId }), sessionOf),
  revoke: called(
    method.revokeSshSession,
    (token: string) => ({ token }),
    ({ revoked }) => revoked,
  ),
}
