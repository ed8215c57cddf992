/** SSH session tokens: what a client presents to open forwards to one sandbox. Stored only as SHA-256. */
import { createHash, randomUUID } from "node:crypto"
import { Clock, Effect, Option } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { SshSession } from "../domain/SshSession.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { SshSessions } from "../store/SshSessions.ts"
import { openShellAccess as access } from "./Access.ts"
import { ApiSettings } from "./ApiSettings.ts"
import { requireReady, sandboxById, visible } from "./Lookup.ts"
import { unary } from "./Operation.ts"

export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex")

const createSshSession = unary(access.createSshSession, (sandboxId: string, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(caller, sandboxId)
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
      expiresAtMs,
    } satisfies SshSession
  }),
)

const revokeSshSession = unary(access.revokeSshSession, (token: string, caller) =>
  Effect.gen(function* () {
    if (token === "") return yield* new InvalidArgument({ message: "token is required" })
    const tokenHash = hashToken(token)
    const sshSessions = yield* SshSessions
    const found = yield* sshSessions.find(tokenHash)
    if (Option.isNone(found)) return false
    yield* visible(caller, found.value.sandboxId)
    const sandboxId = yield* sshSessions.revoke(tokenHash)
    if (Option.isNone(sandboxId)) return false
    // The row says no to everyone who asks the store; the owner says no to what it remembers and cuts what runs.
    const actors = yield* SandboxActors
    yield* actors.ask(sandboxId.value, (actor) => actor.RevokeToken({ tokenHash }))
    return true
  }),
)

export const sshSessionOperations = { create: createSshSession, revoke: revokeSshSession }
