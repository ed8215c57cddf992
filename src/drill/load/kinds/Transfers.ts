/** Uploads and downloads of one file, one after another, each compared by SHA-256. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { mkdir, rm, writeFile } from "node:fs/promises"
import path from "node:path"
import { pipeline } from "node:stream/promises"
import { Clock, Effect } from "effect"
import { exec } from "../../../client/Exec.ts"
import { download, upload } from "../../../client/Transfer.ts"
import { randomContent } from "../../check/Content.ts"
import { Collector } from "../Collector.ts"
import { brokenBy, rest, type StreamBroken, type StreamContext, type StreamLife } from "../LoadStream.ts"

/** On average between transfers, in intervals of the pace: each starts several processes in the sandbox. */
const pauseIntervals = 20

const attempt = <A>(work: () => Promise<A>): Effect.Effect<A, StreamBroken> =>
  Effect.tryPromise({ try: work, catch: brokenBy })

interface LocalFile {
  readonly file: string
  readonly sha256: string
}

/** A file of this machine with content that follows from the seed. */
const makeFile = ({ directory, seed, pace }: StreamContext): Effect.Effect<LocalFile, StreamBroken> =>
  attempt(async () => {
    const bytes = Buffer.alloc(pace.fileBytes)
    randomContent(seed).fill(0, bytes)
    await mkdir(directory, { recursive: true })
    const file = path.join(directory, `drill-${seed}`)
    await writeFile(file, bytes)
    return { file, sha256: createHash("sha256").update(bytes).digest("hex") }
  })

const put = ({ client, place }: StreamContext, { file }: LocalFile) =>
  Effect.mapError(upload(client, { sandboxId: place.sandbox.id, local: file, remote: "" }), brokenBy)

const remoteSum = ({ client, place, seed }: StreamContext): Effect.Effect<string, StreamBroken> =>
  Effect.gen(function* () {
    const stdout = new Collector()
    const request = { sandboxId: place.sandbox.id, command: ["sha256sum", `drill-${seed}`] }
    yield* Effect.mapError(exec(client, request, { stdout, stderr: new Collector() }), brokenBy)
    return stdout.text.slice(0, 64)
  })

const localSum = (file: string): Effect.Effect<string, StreamBroken> =>
  attempt(async () => {
    const hash = createHash("sha256")
    await pipeline(createReadStream(file), hash)
    return hash.digest("hex")
  })

/** One transfer after another until the stream may stop; each is an operation. */
const repeated = (
  context: StreamContext,
  name: string,
  sha256: string,
  transfer: Effect.Effect<string, StreamBroken>,
): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!context.stopping()) {
      const startedAtMs = yield* Clock.currentTimeMillis
      context.tally.begin()
      const sum = yield* Effect.either(transfer)
      if (sum._tag === "Left") context.tally.failedOperation(`${name}: ${sum.left.text}`)
      else if (sum.right === sha256) context.tally.operation()
      else context.tally.failedOperation(`${name}: the SHA-256 differs`)
      context.latency((yield* Clock.currentTimeMillis) - startedAtMs)
      yield* rest(context, pauseIntervals)
    }
  })

export const uploads: StreamLife = (context) =>
  Effect.gen(function* () {
    const made = yield* makeFile(context)
    yield* repeated(context, "upload", made.sha256, Effect.zipRight(put(context, made), remoteSum(context)))
  })

export const downloads: StreamLife = (context) =>
  Effect.gen(function* () {
    const made = yield* makeFile(context)
    yield* put(context, made)
    const local = `${made.file}.back`
    const options = { sandboxId: context.place.sandbox.id, remote: path.basename(made.file), local }
    const get = attempt(() => rm(local, { force: true })).pipe(
      Effect.zipRight(Effect.mapError(download(context.client, options), brokenBy)),
      Effect.zipRight(localSum(local)),
    )
    yield* repeated(context, "download", made.sha256, get)
  })
