/** Tokens of sandboxes (contract 2.1). */
import type { IssuedToken, RefreshedToken, TokenRefresh } from "../../domain/SupervisorCalls.ts"
import { nothing, same, served } from "../grpc/Protobuf.ts"
import { OpenShell } from "./Generated.ts"

const { method } = OpenShell

const toWire = ({ token, expiresAtMs }: IssuedToken) => ({ token, expiresAtMs: BigInt(expiresAtMs) })

export const tokens = {
  issue: served(method.issueSandboxToken, nothing, toWire),
  refresh: served(method.refreshSandboxToken, same<TokenRefresh>, (refreshed: RefreshedToken) => ({
    ...toWire(refreshed),
    extensionCredentials: refreshed.extensionCredentials.map((credential) => ({
      serviceName: credential.serviceName,
      ...toWire(credential),
    })),
  })),
}
