/**
 * Where the two ends of a relay meet on the client's replica: each open gets a single-use ticket, bound to the
 * relay, good for `peerTicketMs`. The replica that carries the supervisor's side redeems it.
 */
import { randomBytes, timingSafeEqual } from "node:crypto"
import { limits } from "../domain/Limits.ts"
import { Status } from "../domain/Status.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"

interface Waiting {
  readonly ticket: Buffer
  readonly expiresAt: number
  readonly deliver: (leg: RelayLeg) => void
}

export interface Issued {
  readonly ticket: string
  /** The supervisor's side, once it is here. Never settles if the relay does not open: the caller has the answer of the actor. */
  readonly leg: Promise<RelayLeg>
  /** Ends the wait; a leg that came already, or still comes, is failed. */
  readonly cancel: () => void
}

export type TicketRefusal = "unknown" | "expired"

export class Rendezvous {
  readonly #waiting = new Map<string, Waiting>()
  readonly #nowMs: () => number

  /** `nowMs`: monotonic. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  issue(channelId: string): Issued {
    if (this.#waiting.size >= limits.peerTickets)
      throw new GrpcError({
        code: Status.RESOURCE_EXHAUSTED,
        message: "too many relays are opening on this replica; try again",
      })
    const ticket = randomBytes(32)
    let arrived: RelayLeg | undefined
    let cancelled = false
    const leg = new Promise<RelayLeg>((resolve) => {
      this.#waiting.set(channelId, {
        ticket,
        expiresAt: this.#nowMs() + limits.peerTicketMs,
        deliver: (it) => {
          arrived = it
          if (cancelled) it.abort(unwanted)
          else resolve(it)
        },
      })
    })
    return {
      ticket: ticket.toString("base64url"),
      leg,
      cancel: () => {
        cancelled = true
        this.#waiting.delete(channelId)
        arrived?.abort(unwanted)
      },
    }
  }

  /** Redeems a ticket; the leg is then the client's. Says why not otherwise. */
  redeem(channelId: string, ticket: string): ((leg: RelayLeg) => void) | TicketRefusal {
    const waiting = this.#waiting.get(channelId)
    const presented = Buffer.from(ticket, "base64url")
    if (
      waiting === undefined ||
      presented.length !== waiting.ticket.length ||
      !timingSafeEqual(presented, waiting.ticket)
    )
      return "unknown"
    this.#waiting.delete(channelId)
    return this.#nowMs() > waiting.expiresAt ? "expired" : waiting.deliver
  }

  get size(): number {
    return this.#waiting.size
  }
}

const unwanted = "the caller is gone"
