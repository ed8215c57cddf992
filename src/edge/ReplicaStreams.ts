/**
 * Resumable streams that this replica itself opens, for clients that cannot: the replica that holds the session
 * may die then, and the client goes on. It is done only where the supervisor can and its session is elsewhere;
 * otherwise the relay stays a plain one, whose frames pass uncut.
 */
import { Cause, Context, Effect, Exit, Layer, Runtime, Scope } from "effect"
import { type PublicError, Unavailable } from "../domain/Errors.ts"
import type { StreamCarrier } from "../domain/Sandbox.ts"
import { countStream, Metrics } from "../observe/Metrics.ts"
import { connect } from "../stream/Connect.ts"
import { type StreamError, StreamRefused } from "../stream/Outcome.ts"
import { carrierKey, newIdentity } from "../stream/Proof.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { droppedText } from "./PeerLeg.ts"
import { type OpenOptions, RelayOpener } from "./RelayOpener.ts"

export interface StreamOptions extends Omit<OpenOptions, "stream"> {
  /** A command, for supervisors that run them; the relay to the SSH server serves for the others. */
  readonly kind?: "exec"
  /** What metrics call it; the kind when absent. */
  readonly purpose?: "http"
  /** On whose behalf. */
  readonly binding: string
}

export type Resumable =
  | { readonly _tag: "Plain"; readonly leg: RelayLeg }
  | { readonly _tag: "Stream"; readonly stream: ResumableDuplex }

/** What another attempt cannot change. */
const isFinal = ({ _tag }: PublicError): boolean =>
  _tag === "Unauthenticated" ||
  _tag === "PermissionDenied" ||
  _tag === "NotFound" ||
  _tag === "FailedPrecondition" ||
  _tag === "InvalidArgument"

const targetText = ({ target }: StreamOptions): string =>
  target.kind === "tcp" ? `${target.host}:${target.port}` : ""

const make = Effect.gen(function* () {
  const opener = yield* RelayOpener
  const metrics = yield* Metrics
  const runtime = yield* Effect.runtime<never>()

  /** Another carrier; it releases what it took when it closes. */
  const carrier = (options: OpenOptions): Effect.Effect<RelayDuplex, PublicError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const close = (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit)
        const opened = yield* restore(opener.open(options)).pipe(
          Effect.filterOrFail(
            ({ stream }) => stream,
            () => new Unavailable({ message: droppedText }),
          ),
          Scope.extend(scope),
          Effect.onError((cause) => close(Exit.failCause(cause))),
        )
        const duplex = new RelayDuplex(opened.leg)
        duplex.once("close", () => void Runtime.runFork(runtime)(close(Exit.void)))
        return duplex
      }),
    )

  const resume = async (options: OpenOptions, signal: AbortSignal): Promise<RelayDuplex> => {
    const exit = await Runtime.runPromiseExit(runtime)(Effect.either(carrier(options)), { signal })
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    if (exit.value._tag === "Right") return exit.value.right
    const error = exit.value.left
    throw isFinal(error) ? new StreamRefused({ code: "denied", message: error.message }) : error
  }

  const start = (options: StreamOptions, stream: StreamCarrier, leg: RelayLeg, id: Identity) => {
    let first: RelayLeg | undefined = leg
    return connect({
      identity: id,
      kind: stream.kind,
      target: targetText(options),
      openCarrier: async (_attempt, signal) => {
        const ready = first
        first = undefined
        // A session that has come to this replica meanwhile serves the stream too.
        return ready === undefined
          ? resume({ ...options, stream: { ...stream, byReplica: false } }, signal)
          : new RelayDuplex(ready)
      },
    })
  }

  /** Opens a relay to the target, as a stream where that is of use; both end with the scope. */
  const open = (options: StreamOptions): Effect.Effect<Resumable, PublicError, Scope.Scope> =>
    Effect.gen(function* () {
      const identity = newIdentity()
      const stream: StreamCarrier = {
        key: carrierKey(identity.id).toString("hex"),
        kind: options.kind ?? options.target.kind,
        binding: options.binding,
        byReplica: true,
      }
      const first = yield* opener.open({ ...options, stream })
      if (!first.stream) return { _tag: "Plain", leg: first.leg }
      const duplex = yield* Effect.acquireRelease(
        Effect.sync(() => start(options, stream, first.leg, identity)),
        (it) => Effect.sync(() => it.destroy()),
      )
      countStream(metrics, options.purpose ?? stream.kind, duplex)
      // A command has no target that could be out of reach: it need not wait for the answer.
      if (stream.kind !== "exec")
        yield* Effect.tryPromise({
          try: () => duplex.opened,
          catch: (cause) => new Unavailable({ message: (cause as StreamError).message }),
        })
      return { _tag: "Stream", stream: duplex }
    })

  return { open } as const
})

type Identity = ReturnType<typeof newIdentity>

export class ReplicaStreams extends Context.Tag("holdfast/ReplicaStreams")<
  ReplicaStreams,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(ReplicaStreams, make)
}
