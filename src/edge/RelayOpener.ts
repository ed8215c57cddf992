/** Opening a relay from a client's replica: ask the owner, meet the supervisor's side here, time it. */
import { randomUUID } from "node:crypto"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { untilAway } from "../cluster/Away.ts"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { databaseAwayText, LimitReached, type PublicError, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import type { RelayTarget, StreamCarrier } from "../domain/Sandbox.ts"
import { Metrics } from "../observe/Metrics.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { droppedText } from "./PeerLeg.ts"
import { PeerLegs } from "./PeerLegs.ts"
import type { Issued } from "./Rendezvous.ts"

export interface OpenOptions {
  readonly sandboxId: string
  readonly target: RelayTarget
  readonly serviceId: string
  /** SHA-256 of the SSH session token; empty for exec. */
  readonly tokenHash: string
  /** Present when the caller can resume. */
  readonly stream?: StreamCarrier | undefined
}

export interface OpenedRelay {
  readonly channelId: string
  readonly leg: RelayLeg
  /** It carries the stream that was asked for; otherwise it is a plain relay. */
  readonly stream: boolean
}

/** Attempts of one open that met a session on its way out: bounded, so that a broken path is told. */
const droppedAttempts = 3

/** What the actor answers when no session came in time; the wait goes on here with a fresh ticket. */
const noSession = "supervisor session not connected"

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const metrics = yield* Metrics
  const actors = yield* SandboxActors
  const peerLegs = yield* PeerLegs
  const ownership = yield* Ownership
  const away = untilAway(ownership)

  /** Without the database a replica may count as gone that is there: then to open again leads nowhere. */
  const whyDropped = (error: PublicError): PublicError =>
    error.message === droppedText && ownership.proofAgeMs() > limits.awayProofMs
      ? new Unavailable({ message: databaseAwayText })
      : error

  const issue = (channelId: string) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => peerLegs.rendezvous.issue(channelId),
        catch: () => new LimitReached({ message: "too many relays are opening on this replica; try again" }),
      }),
      (issued: Issued) => Effect.sync(() => issued.cancel()),
    )

  /** One attempt with one ticket; the ask waits for a session at most as long as the ticket lives. */
  const attempt = (
    options: OpenOptions,
    waitMs: number,
  ): Effect.Effect<OpenedRelay, PublicError, Scope.Scope> =>
    Effect.gen(function* () {
      const channelId = randomUUID()
      const issued = yield* issue(channelId)
      return yield* Effect.gen(function* () {
        const { stream } = yield* actors.ask(
          options.sandboxId,
          (actor) =>
            actor.OpenRelay({
              channelId,
              target: options.target,
              serviceId: options.serviceId,
              tokenHash: options.tokenHash,
              stream: options.stream,
              rendezvous: { replica: config.incarnation, ticket: issued.ticket },
              waitMs,
            }),
          waitMs + limits.relayClaimTimeoutMs + limits.peerOpenTimeoutMs,
        )
        const leg = yield* Effect.promise(() => issued.leg).pipe(
          Effect.timeoutFail({
            duration: Duration.millis(limits.peerOpenTimeoutMs),
            onTimeout: () => new Unavailable({ message: droppedText }),
          }),
        )
        return { channelId, leg, stream }
      }).pipe(Effect.onError(() => Effect.sync(() => issued.cancel())))
    })

  /**
   * The supervisor's side of a new relay, held open for the caller's scope. Callers are held up to
   * `sessionWaitMs` while the sandbox's session is away, and told soon when it is the database.
   */
  const open = (options: OpenOptions): Effect.Effect<OpenedRelay, PublicError, Scope.Scope> =>
    Effect.gen(function* () {
      const startedAt = yield* monotonicMs
      const left = Effect.map(monotonicMs, (nowMs) => limits.sessionWaitMs - (nowMs - startedAt))
      let dropped = 0
      /** A relay that was not joined moved no byte. When its session was replaced meanwhile the ticket is used up. */
      const again = (message: string): boolean => {
        if (message === droppedText) dropped += 1
        return message === noSession || (message === droppedText && dropped < droppedAttempts)
      }
      const held: Effect.Effect<OpenedRelay, PublicError, Scope.Scope> = Effect.flatMap(left, (leftMs) =>
        attempt(options, Math.max(0, Math.min(limits.ticketWaitMs, leftMs))),
      ).pipe(
        Effect.catchTag("Unavailable", (error) =>
          // What is left below a millisecond may be no time at all to the owner's clock.
          Effect.flatMap(left, (leftMs) => (again(error.message) && leftMs >= 1 ? held : Effect.fail(error))),
        ),
      )
      return yield* held.pipe(
        Effect.raceFirst(away),
        Effect.mapError(whyDropped),
        Effect.tapBoth({
          onSuccess: () => observe(startedAt, "opened"),
          onFailure: (error) => observe(startedAt, error._tag),
        }),
      )
    })

  const observe = (startedAt: number, outcome: string) =>
    Effect.map(monotonicMs, (nowMs) => metrics.relayOpen.observe({ outcome }, (nowMs - startedAt) / 1000))

  return { open } as const
})

export class RelayOpener extends Context.Tag("holdfast/RelayOpener")<
  RelayOpener,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(RelayOpener, make)
}
