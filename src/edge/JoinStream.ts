import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { droppedText } from "./PeerLeg.ts"

/**
 * Joins a client's leg with a resumable stream, half-close included; resolves when both have ended. The failure
 * of one ends the other. `onBytes` counts what comes `in` from the client and goes `out` to it.
 */
export const joinStream = async (
  leg: RelayLeg,
  stream: ResumableDuplex,
  onBytes: (direction: "in" | "out", bytes: number) => void,
): Promise<void> => {
  const client = new RelayDuplex(leg)
  client.on("error", (error) => stream.abort("cancelled", error.message))
  client.on("data", (chunk: Buffer) => onBytes("in", chunk.length))
  stream.on("data", (chunk: Buffer) => onBytes("out", chunk.length))
  client.pipe(stream)
  stream.pipe(client)
  const gone = new Promise<void>((resolve) => client.once("close", resolve))
  void gone.then(() => stream.abort("cancelled", "the client is gone"))
  const { _tag } = await stream.outcome
  if (_tag !== "Finished") client.destroy(new Error(droppedText))
  await gone
}
