/** The relays that run through this replica's sessions. */
import type { Slot } from "../sandbox/Admission.ts"
import type { EdgeOpen } from "../sandbox/Edges.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { revokedText } from "../wire/StreamMetadata.ts"
import type { StreamEnd } from "./EdgeStreams.ts"
import { droppedText } from "./PeerLeg.ts"

interface Live {
  readonly request: Pick<EdgeOpen, "sandboxId" | "channelId" | "tokenHash" | "stream">
  readonly end: StreamEnd
  readonly supervisor: RelayLeg
}

export class LiveRelays {
  readonly #live = new Map<string, Live>()
  readonly #replica: string

  constructor(replica: string) {
    this.#replica = replica
  }

  get size(): number {
    return this.#live.size
  }

  /** Until the supervisor's side closes. */
  add(live: Live): void {
    const { channelId } = live.request
    this.#live.set(channelId, live)
    live.supervisor.stream.once("close", () => this.#live.delete(channelId))
  }

  get(channelId: string): Live | undefined {
    return this.#live.get(channelId)
  }

  /** Those with a token, and of those that are `opening` too: their owner may have stopped to wait for them. */
  slots(sandboxId: string, opening: Iterable<Pick<Live, "request">>): ReadonlyArray<Slot> {
    return [...this.#live.values(), ...opening].flatMap(({ request }) =>
      request.sandboxId === sandboxId && request.tokenHash !== ""
        ? [
            {
              channelId: request.channelId,
              tokenHash: request.tokenHash,
              replica: this.#replica,
              stream: request.stream?.key ?? "",
            },
          ]
        : [],
    )
  }

  /** Cuts the relays of a sandbox, those of one token or all; a supervisor ends the streams that they carry. */
  revoke(sandboxId: string, tokenHash: string | undefined): void {
    for (const { request, end, supervisor } of [...this.#live.values()])
      if (request.sandboxId === sandboxId && (tokenHash ?? request.tokenHash) === request.tokenHash)
        supervisor.abort(end === "supervisor" ? revokedText : droppedText)
  }

  cut(): void {
    for (const { supervisor } of [...this.#live.values()]) supervisor.abort(droppedText)
  }
}
