/** `ForwardTcp` and `RelayStream`: the two ends of a relay. After their first frame the bytes pass uncut. */
import { Effect } from "effect"
import { InvalidArgument, Unauthenticated, Unavailable } from "../domain/Errors.ts"
import type { ForwardFrame, RelayFrame } from "../domain/Forward.ts"
import { joinStream } from "../edge/JoinStream.ts"
import { LocalEdge } from "../edge/LocalEdge.ts"
import { RelayOpener } from "../edge/RelayOpener.ts"
import { ReplicaStreams } from "../edge/ReplicaStreams.ts"
import { splice } from "../edge/Splice.ts"
import { Metrics } from "../observe/Metrics.ts"
import { serverLeg } from "../wire/RelayLeg.ts"
import { streamMetadata } from "../wire/StreamMetadata.ts"
import { openShellAccess as access } from "./Access.ts"
import { requireReady, sandboxById, visible } from "./Lookup.ts"
import { type Exchange, Lasting, receive, streaming } from "./Operation.ts"
import { authorize } from "./Principal.ts"
import { hashToken } from "./SshSessionMethods.ts"
import { bindingOf, carrierOf, targetOf } from "./StreamCarriers.ts"

/** Every failure to open is UNAVAILABLE with this prefix, but those the wire names (1.3). */
export const relayFailure = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E | Unavailable, R> =>
  Effect.mapError(effect, (error) => {
    const isOpenError =
      error._tag === "Unavailable" ||
      (error._tag === "LimitReached" && !/SSH (session )?connection limit/.test(error.message))
    return isOpenError && error.message !== "relay channel dropped"
      ? new Unavailable({ message: `supervisor relay failed: ${error.message}` })
      : error
  })

const forwardTcp = streaming(access.forwardTcp, (exchange: Exchange<ForwardFrame, never>, caller) =>
  Effect.gen(function* () {
    const { principal } = caller
    const first = yield* receive(exchange)
    if (first === undefined) return yield* new InvalidArgument({ message: "empty ForwardTcp stream" })
    if (first._tag !== "Start")
      return yield* new InvalidArgument({ message: "first TcpForwardFrame must be init" })
    const init = first.start
    if (init.sandboxId === "") return yield* new InvalidArgument({ message: "sandbox_id is required" })
    const target = yield* targetOf(init)
    const stream = yield* carrierOf(init, target, principal)
    if (init.token === "" && stream?.kind === "exec") yield* authorize(principal, access.execSandbox)
    else if (init.token === "") {
      yield* requireReady(yield* sandboxById(caller, init.sandboxId))
      return yield* new Unauthenticated({ message: "authorization_token is required for ForwardTcp" })
    }
    yield* visible(caller, init.sandboxId)
    // The actor knows the sandbox and its phase from memory: no statement is needed to open.
    const metrics = yield* Metrics
    const options = {
      sandboxId: init.sandboxId,
      target,
      serviceId: init.serviceId,
      tokenHash: init.token === "" ? "" : hashToken(init.token),
    }
    const opened = yield* relayFailure(
      stream === undefined
        ? (yield* ReplicaStreams).open({ ...options, binding: bindingOf(principal, init.sandboxId) })
        : Effect.map((yield* RelayOpener).open({ ...options, stream }), (relay) => {
            if (relay.stream) exchange.call.sendHeaders(streamMetadata)
            if (relay.stream && init.carrier?.resumed === true)
              metrics.streamsResumed.inc({ kind: stream.kind, by: "client" })
            return { _tag: "Plain" as const, leg: relay.leg }
          }),
    )
    const client = serverLeg(exchange.call, exchange.incoming)
    const kind = stream?.kind ?? target.kind
    const count = (direction: "in" | "out", bytes: number) => {
      metrics.relayBytes.inc({ direction }, bytes)
      metrics.streamBytes.inc({ kind, direction }, bytes)
    }
    yield* Effect.promise(() =>
      opened._tag === "Stream"
        ? joinStream(client, opened.stream, count)
        : splice(client, opened.leg, {
            guardA: true,
            guardB: false,
            onBytes: (direction, bytes) => count(direction === "a" ? "in" : "out", bytes),
          }),
    )
  }).pipe(Effect.scoped),
)

const relayStream = streaming(access.relayStream, (exchange: Exchange<RelayFrame, never>, { principal }) =>
  Effect.gen(function* () {
    const first = yield* receive(exchange)
    if (first === undefined) return yield* new InvalidArgument({ message: "empty RelayStream" })
    if (first._tag !== "Start" || first.channelId === "")
      return yield* new InvalidArgument({
        message: "first RelayFrame must be init with non-empty channel_id",
      })
    const edge = yield* LocalEdge
    const sandboxId = principal.kind === "sandbox" ? principal.sandboxId : ""
    const { stream } = exchange.call
    const closed = new Promise<void>((resolve) => stream.once("close", resolve))
    yield* edge.claim(sandboxId, first.channelId, exchange.call, exchange.incoming)
    return new Lasting(closed)
  }),
)

export const forwardOperations = { forward: forwardTcp, relay: relayStream }
