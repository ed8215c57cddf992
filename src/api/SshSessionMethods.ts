/** SSH session tokens: what a client presents to open forwards to one sandbox. Stored only as SHA-256. */
import { createHash, randomUUID } from "node:crypto"
import { Clock, Effect, Option } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { SshSessions } from "../store/SshSessions.ts"
import { OpenShell } from "../wire/OpenShell.ts"
import { openShellAccess as access } from "./Access.ts"
import { ApiSettings } from "./ApiSettings.ts"
import { unary } from "./Endpoint.ts"
import { requireReady, sandboxById, visible } from "./Lookup.ts"

const { method } = OpenShell

export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex")

const createSshSession = unary(method.createSshSession, access.createSshSession, (request, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(caller, request.sandboxId)
    yield* requireReady(sandbox)
    const settings = yield* ApiSettings
    const sshSessions = yield* SshSessions
    const nowMs = yield* Clock.currentTimeMillis
    const token = randomUUID()
    const expiresAtMs = nowMs + limits.sshSessionTtlMs
    yield* sshSessions.create({
      tokenHash: hashToken(token),
      sandboxId: sandbox.id,
      createdAtMs: nowMs,
      expiresAtMs,
    })
    const url = new URL(settings.publicUrl)
    return {
      sandboxId: sandbox.id,
      token,
      gatewayHost: url.hostname,
      gatewayPort: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port),
      gatewayScheme: url.protocol.slice(0, -1),
      expiresAtMs: BigInt(expiresAtMs),
    }
  }),
)

const revokeSshSession = unary(method.revokeSshSession, access.revokeSshSession, (request, caller) =>
  Effect.gen(function* () {
    if (request.token === "") return yield* new InvalidArgument({ message: "token is required" })
    const tokenHash = hashToken(request.token)
    const sshSessions = yield* SshSessions
    const found = yield* sshSessions.find(tokenHash)
    if (Option.isNone(found)) return { revoked: false }
    yield* visible(caller, found.value.sandboxId)
    const sandboxId = yield* sshSessions.revoke(tokenHash)
    if (Option.isNone(sandboxId)) return { revoked: false }
    // The row says no to everyone who asks the store; the owner says no to what it remembers and cuts what runs.
    const actors = yield* SandboxActors
    yield* actors.ask(sandboxId.value, (actor) => actor.RevokeToken({ tokenHash }))
    return { revoked: true }
  }),
)

export const sshSessionEndpoints = [createSshSession, revokeSshSession]
