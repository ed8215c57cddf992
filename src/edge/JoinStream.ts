import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"
import { droppedText } from "./PeerLeg.ts"

/**
 * Joins a plain leg with a resumable stream, half-close included; resolves when both have ended. The failure of
 * one ends the other. `onBytes` counts what comes `in` from the leg and goes `out` to it.
 */
export const joinStream = async (
  leg: RelayLeg,
  stream: ResumableDuplex,
  onBytes: (direction: "in" | "out", bytes: number) => void,
): Promise<void> => {
  const plain = new RelayDuplex(leg)
  plain.on("error", (error) => stream.abort("cancelled", error.message))
  plain.on("data", (chunk: Buffer) => onBytes("in", chunk.length))
  stream.on("data", (chunk: Buffer) => onBytes("out", chunk.length))
  plain.pipe(stream)
  stream.pipe(plain)
  const closed = new Promise<void>((resolve) => plain.once("close", resolve))
  void closed.then(() => {
    // One that has ended both ways leaves the stream to tell the other end.
    if (!(plain.readableEnded && plain.writableFinished)) stream.abort("cancelled", droppedText)
  })
  const { _tag } = await stream.outcome
  if (_tag !== "Finished") plain.destroy(new Error(droppedText))
  await closed
}
