/** One call: some frames, an end of some kind, and how long the gateway takes to be done with it. */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2"
import type { Random } from "../simulation/kernel/Random.ts"
import { pickStream, type World } from "./Messages.ts"
import { spoil } from "./Mutate.ts"

export interface Outcome {
  readonly path: string
  readonly frames: number
  /** gRPC status, or what else ended it. */
  readonly status: string
  readonly hung: boolean
}

/** Beyond the deadline that the call itself asks for. */
const slackMs = 20_000
const lookMs = 250
/** Most calls are short, so that many frames are sent; some have the time to get far. */
const shortDeadlineMs = 250
const longDeadlineMs = 1_500
const mostFrames = 600

const drawFrames = (
  random: Random,
  world: World,
): { path: string; asSandbox: boolean; frames: ReadonlyArray<Buffer> } => {
  const stream = pickStream(random)
  const count = 1 + Math.floor(mostFrames * random.next() ** 2)
  // Some calls are right to the last frame; others go wrong at once.
  const wholeness = random.pick([0.2, 0.8, 0.95, 1]) ?? 1
  const right = random.chance(0.85)
  const frames = Array.from({ length: count }, (_, index) => {
    const body = index === 0 && right ? stream.first(random, world) : stream.later(random, world)
    return spoil(random, body, index === 0 && right ? Math.max(wholeness, 0.8) : wholeness)
  })
  return { path: stream.path, asSandbox: random.chance(0.97) ? stream.asSandbox : !stream.asSandbox, frames }
}

/** Pieces that fall where they will: not where the messages begin. */
const pieces = (random: Random, frames: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  if (random.chance(0.5)) return frames
  const bytes = Buffer.concat(frames)
  const cut: Array<Buffer> = []
  for (let at = 0; at < bytes.length; ) {
    const step = 1 + random.below(random.chance(0.2) ? 7 : 4_000)
    cut.push(bytes.subarray(at, at + step))
    at += step
  }
  return cut.slice(0, 400)
}

const finish = (random: Random, stream: ClientHttp2Stream): void => {
  const how = random.next()
  if (how < 0.6) stream.end()
  else if (how < 0.75) stream.close(constants.NGHTTP2_CANCEL)
  else if (how < 0.8) stream.close(1 + random.below(13))
  // Otherwise it stays open and says nothing more.
}

export const call = (session: ClientHttp2Session, random: Random, world: World): Promise<Outcome> => {
  const { path, asSandbox, frames } = drawFrames(random, world)
  const deadlineMs = 30 + random.below(random.chance(0.9) ? shortDeadlineMs : longDeadlineMs)
  const headers = {
    ":method": "POST",
    ":path": path,
    "content-type": random.chance(0.98) ? "application/grpc" : "application/grpc+json",
    te: "trailers",
    "grpc-timeout": `${deadlineMs}m`,
    ...(random.chance(0.02) ? { "grpc-encoding": "gzip" } : {}),
    ...(asSandbox ? { authorization: `Bearer ${world.hollow.token}` } : {}),
  }
  return new Promise((resolve) => {
    let status = "reset"
    let done = false
    const settle = (hung: boolean): void => {
      if (done) return
      done = true
      clearTimeout(timer)
      clearInterval(look)
      resolve({ path, frames: frames.length, status: hung ? "hung" : status, hung })
    }
    // Node tells of the end of a stream that was reset only when its own unsent bytes are gone, which may be never.
    const look = setInterval(() => {
      if (!stream.closed) return
      settle(false)
      stream.destroy()
    }, lookMs)
    const timer = setTimeout(() => {
      settle(true)
      stream.destroy()
    }, deadlineMs + slackMs)
    const note = (sent: { readonly "grpc-status"?: string | string[] | undefined }): void => {
      if (sent["grpc-status"] !== undefined) status = String(sent["grpc-status"])
    }
    let stream: ClientHttp2Stream
    try {
      stream = session.request(headers)
    } catch {
      status = "no session"
      settle(false)
      return
    }
    stream.on("response", note)
    stream.on("trailers", note)
    stream.on("error", () => {})
    stream.once("close", () => settle(false))
    const reads = random.chance(0.9)
    if (reads) stream.resume()
    // Who reads nothing must not keep the call from its end: the deadline's status is then read.
    else setTimeout(() => stream.resume(), deadlineMs)
    for (const piece of pieces(random, frames)) stream.write(piece)
    finish(random, stream)
  })
}
