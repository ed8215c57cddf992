/** Stalls of a stream that are long enough to be worth words. */
import { limits } from "../domain/Limits.ts"
import type { ResumableDuplex } from "../stream/ResumableDuplex.ts"

/** `stalled`: without a carrier for a while. `resumed` follows, or `over` when the stream ended meanwhile. */
export type StallListener = (change: "stalled" | "resumed" | "over") => void

export const tellStalls = (stream: ResumableDuplex, onStall: StallListener | undefined): void => {
  if (onStall === undefined) return
  let timer: NodeJS.Timeout | undefined
  let told = false
  const settle = (how: "resumed" | "over"): void => {
    clearTimeout(timer)
    if (told) onStall(how)
    told = false
  }
  stream.on("suspended", () => {
    timer = setTimeout(() => {
      told = true
      onStall("stalled")
    }, limits.clientStallNoticeMs)
  })
  stream.on("resumed", () => settle("resumed"))
  stream.on("close", () => settle("over"))
}
