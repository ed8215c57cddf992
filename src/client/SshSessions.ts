/**
 * SSH session tokens of one sandbox for many connections. OpenShell makes a token per connection; a token
 * carries three, so reusing them saves two calls per connection.
 */
import { Effect, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import type { SshSession } from "../domain/SshSession.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"

interface Slot {
  readonly session: SshSession
  connections: number
  /** A token that the gateway refused; it gets no further connection. */
  rejected: boolean
}

export interface Lease {
  readonly token: string
  /** Gives the connection's place back. */
  readonly release: Effect.Effect<void>
  /** Marks the token as refused by the gateway. */
  readonly reject: Effect.Effect<void>
}

export interface SshSessions {
  readonly lease: Effect.Effect<Lease, ClientError>
}

/** Tokens are revoked when the scope closes. */
export const makeSshSessions = (
  client: GatewayClientService,
  sandboxId: string,
): Effect.Effect<SshSessions, never, Scope.Scope> =>
  Effect.gen(function* () {
    const slots: Array<Slot> = []
    const revoke = (slot: Slot): Effect.Effect<void> =>
      Effect.ignore(Effect.timeout(client.revokeSshSession(slot.session.token), limits.revokeTimeoutMs))
    yield* Effect.addFinalizer(() => Effect.forEach(slots, revoke, { concurrency: 4, discard: true }))

    const release = (slot: Slot) =>
      Effect.suspend(() => {
        slot.connections -= 1
        if (slot.connections > 0 || !slot.rejected) return Effect.void
        slots.splice(slots.indexOf(slot), 1)
        return revoke(slot)
      })
    const leaseOf = (slot: Slot): Lease => {
      slot.connections += 1
      return {
        token: slot.session.token,
        release: release(slot),
        reject: Effect.sync(() => {
          slot.rejected = true
        }),
      }
    }
    const usable = (slot: Slot): boolean =>
      !slot.rejected &&
      slot.connections < limits.connectionsPerToken &&
      (slot.session.expiresAtMs === 0 || slot.session.expiresAtMs - Date.now() > limits.tokenMarginMs)
    // One at a time, so that a burst of connections fills tokens instead of making one each.
    const turn = yield* Effect.makeSemaphore(1)
    const lease = turn.withPermits(1)(
      Effect.suspend(() => {
        const free = slots.find(usable)
        if (free !== undefined) return Effect.succeed(leaseOf(free))
        return Effect.map(client.createSshSession(sandboxId), (session) => {
          const slot: Slot = { session, connections: 0, rejected: false }
          slots.push(slot)
          return leaseOf(slot)
        })
      }),
    )
    return { lease }
  })
