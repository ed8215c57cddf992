/** Standard input of a command, no faster than the command takes it. */
import type { Readable } from "node:stream"
import { limits } from "../domain/Limits.ts"

export interface Feeding {
  /** Rejects when the input cannot be read; never resolves. */
  readonly failed: Promise<never>
  readonly stop: () => void
}

/**
 * Sends input as the call takes it. A failed send is not an error here: the command may have ended without
 * reading everything, and if the call failed, its events say why.
 */
export const feed = (
  stdin: Readable,
  send: (data: Buffer) => Promise<void>,
  call: { readonly end: () => void },
): Feeding => {
  let stopped = false
  // A stream may report its end while the last chunk is still being sent.
  let sending = Promise.resolve()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  const sendChunks = async (chunk: Buffer): Promise<void> => {
    for (let at = 0; at < chunk.length; at += limits.execChunkBytes) {
      await send(chunk.subarray(at, at + limits.execChunkBytes))
    }
    if (!stopped) stdin.resume()
  }
  const onData = (chunk: Buffer): void => {
    stdin.pause()
    sending = sending.then(() => sendChunks(chunk)).catch(() => stop())
  }
  const onEnd = (): void => {
    sending = sending.then(() => {
      if (!stopped) call.end()
    })
  }
  const onError = (error: Error): void => failed.reject(error)
  const stop = (): void => {
    stopped = true
    stdin.off("data", onData)
    stdin.off("end", onEnd)
    stdin.off("error", onError)
    stdin.pause()
  }
  stdin.on("data", onData)
  stdin.once("end", onEnd)
  stdin.once("error", onError)
  if (stdin.readableEnded) onEnd()
  return { failed: failed.promise, stop }
}
