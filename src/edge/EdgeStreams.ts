/**
 * Streams that end on this replica, for supervisors that cannot serve them: the supervisor's side is a plain
 * relay of this replica, and the replica that the client came in through may die.
 */
import { limits } from "../domain/Limits.ts"
import type { StreamCarrier } from "../domain/Sandbox.ts"
import type { EdgeOpen } from "../sandbox/Edges.ts"
import { admittedBinding, isAdmitted } from "../stream/Admission.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { type IncomingStream, StreamServer } from "../stream/StreamServer.ts"
import { memoryStreams } from "../wire/MemoryStream.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { joinStream } from "./JoinStream.ts"
import { droppedText, peerLeg } from "./PeerLeg.ts"
import type { Session } from "./Session.ts"

/** Where a relay that the client's side can resume ends as a stream. */
export type StreamEnd = "none" | "edge" | "supervisor"

export const noExecText = "the supervisor of this sandbox runs no commands over a stream; use ExecSandbox"

/** `local`: the client came in through this replica. Undefined for commands that the supervisor cannot run. */
export const streamEnd = (
  session: Pick<Session, "serves">,
  stream: StreamCarrier | undefined,
  local: boolean,
): StreamEnd | undefined => {
  if (stream === undefined) return "none"
  const { kind, byReplica = false } = stream
  // Of use also where nothing can be resumed: it spares two ends an SSH connection.
  if (byReplica && local && kind !== "exec") return "none"
  if (session.serves(kind)) return "supervisor"
  // A relay between two replicas of which neither end resumes gains nothing.
  if (byReplica) return "none"
  return kind === "exec" ? undefined : "edge"
}

type Request = Pick<EdgeOpen, "sandboxId" | "tokenHash" | "target">

interface Held {
  readonly sandboxId: string
  readonly tokenHash: string
  readonly relay: RelayLeg
  /** Ends the wait for the stream's hello. */
  readonly hurry: NodeJS.Timeout
}

/** Hex of SHA-256, first in every binding here. */
const keyLength = 64

const targetText = ({ target }: Request): string =>
  target.kind === "tcp" ? `${target.host}:${target.port}` : ""

export class EdgeStreams {
  readonly #held = new Map<string, Held>()
  readonly #server = new StreamServer({ onStream: (incoming) => this.#begin(incoming) })
  readonly #onBytes: (direction: "in" | "out", bytes: number) => void

  readonly #onStream: (kind: string, stream: ResumableDuplex) => void

  /** `onStream` is told of every stream that begins here. */
  constructor(
    onBytes: (direction: "in" | "out", bytes: number) => void,
    onStream: (kind: string, stream: ResumableDuplex) => void = () => undefined,
  ) {
    this.#onBytes = onBytes
    this.#onStream = onStream
  }

  /** The stream's relay to the supervisor is open: a carrier needs no other. */
  knows({ key }: StreamCarrier): boolean {
    return this.#held.has(key)
  }

  /** Keeps the supervisor's side of a stream that is about to begin; answers its first carrier. */
  begin(request: Request, stream: StreamCarrier, relay: RelayLeg): RelayLeg {
    const { sandboxId, tokenHash } = request
    const carrier = this.carrier(request, stream)
    if (relay.stream.destroyed) {
      // It would not say so again; whoever joins the carrier finds it closed.
      carrier.stream.destroy()
      return carrier
    }
    const hurry = setTimeout(() => relay.abort(droppedText), limits.resumeHelloMs)
    const held = { sandboxId, tokenHash, relay, hurry }
    this.#held.set(stream.key, held)
    relay.stream.once("close", () => {
      clearTimeout(hurry)
      if (this.#held.get(stream.key) === held) this.#held.delete(stream.key)
    })
    return carrier
  }

  /** A carrier of that stream, to be joined with the client's side. */
  carrier(request: Request, { key, kind, binding }: StreamCarrier): RelayLeg {
    const [ours, theirs] = memoryStreams()
    const bound = admittedBinding(kind, targetText(request), `${key} ${request.sandboxId} ${binding}`)
    this.#server.accept(new RelayDuplex(peerLeg(ours)), bound, Buffer.from(key, "hex"))
    return peerLeg(theirs)
  }

  /** Ends streams of a sandbox: those of one token, or all. */
  cut(sandboxId: string, tokenHash: string | undefined): void {
    for (const held of this.#held.values())
      if (held.sandboxId === sandboxId && (tokenHash === undefined || held.tokenHash === tokenHash))
        held.relay.abort(droppedText)
  }

  #begin(incoming: IncomingStream): void {
    const { kind, target, binding } = incoming
    const from = admittedBinding(kind, target, "").length
    const held = this.#held.get(binding.slice(from, from + keyLength))
    if (held === undefined || !isAdmitted(incoming)) {
      incoming.refuse(held === undefined ? "target" : "denied", droppedText)
      return
    }
    clearTimeout(held.hurry)
    const stream = incoming.accept()
    this.#onStream(incoming.kind, stream)
    void joinStream(held.relay, stream, (direction, bytes) =>
      // What comes in from the supervisor goes out to the client.
      this.#onBytes(direction === "in" ? "out" : "in", bytes),
    )
  }
}
