/**
 * The mixed load of a drill: streams and operations of every kind, each through a connection of its own, spread
 * over sandboxes, and over replicas by whatever balances the gateway's address.
 */
import path from "node:path"
import { Effect, Fiber, Schedule, type Scope } from "effect"
import type { Endpoint } from "../../client/Endpoint.ts"
import { forward } from "../../client/Forward.ts"
import { GatewayClient } from "../../client/GatewayClient.ts"
import { limits } from "../../domain/Limits.ts"
import type { Ending } from "../check/Endings.ts"
import { StallMeter } from "../check/StallMeter.ts"
import { DrillError } from "../DrillError.ts"
import { echo } from "./kinds/Echo.ts"
import { execs } from "./kinds/Exec.ts"
import { httpRequests } from "./kinds/Http.ts"
import { output } from "./kinds/Output.ts"
import { shell } from "./kinds/Shell.ts"
import { downloads, uploads } from "./kinds/Transfers.ts"
import { webSocketEcho } from "./kinds/WebSocketEcho.ts"
import {
  brokenBy,
  type Kind,
  type Pace,
  type Place,
  type StreamBroken,
  type StreamContext,
  type StreamLife,
} from "./LoadStream.ts"
import { type Counts, Tally } from "./Tally.ts"

const lives: Readonly<Record<Kind, StreamLife>> = {
  echo,
  shell,
  exec: execs,
  output,
  http: httpRequests,
  websocket: webSocketEcho,
  upload: uploads,
  download: downloads,
}

/** Kinds in turn; a dozen streams have all of them, connections most. */
const mix: ReadonlyArray<Kind> = [
  ...(["echo", "shell", "http", "websocket", "echo", "exec"] as const),
  ...(["output", "upload", "shell", "download", "http", "echo"] as const),
]

export const kindOf = (index: number): Kind => mix[index % mix.length] ?? "echo"

/** Not the same kinds always on the same sandbox. */
const placeOf = (places: ReadonlyArray<Place>, index: number): Place | undefined =>
  places[(index + Math.floor(index / mix.length)) % places.length]

export interface LoadOptions {
  /** Where all streams connect to. */
  readonly endpoint: Endpoint
  readonly workspace: string
  readonly places: ReadonlyArray<Place>
  readonly streams: number
  readonly pace: Pace
  readonly seed: number
  /** Scratch directory on this machine. */
  readonly directory: string
}

export interface StreamReport {
  readonly kind: Kind
  readonly counts: Counts
  readonly endings: ReadonlyArray<Ending>
  /** Undefined for kinds made of short operations. */
  readonly stallMs: number | undefined
  readonly latenciesMs: ReadonlyArray<number>
}

export interface Load {
  /** Completes when something came through on every stream. */
  readonly working: Effect.Effect<void, DrillError>
  /** Stalls and latencies count from now. */
  readonly beginWindow: Effect.Effect<void>
  /** Lets every stream end in order and check itself; one that does not is counted as broken. */
  readonly stop: Effect.Effect<void>
  readonly report: () => ReadonlyArray<StreamReport>
}

interface Stream {
  readonly kind: Kind
  readonly tally: Tally
  readonly stall: StallMeter
  latenciesMs: Array<number>
}

const isOperation = (kind: Kind): boolean => kind === "exec" || kind === "upload" || kind === "download"

const makeContext = (
  options: LoadOptions,
  index: number,
  stream: Stream,
  place: Place,
  stopping: () => boolean,
): Effect.Effect<StreamContext, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { endpoint, workspace, pace, directory } = options
    const client = yield* GatewayClient.make({ endpoint, workspace })
    const { tally, stall, latenciesMs } = stream
    let reason: string | undefined
    const forwardTo: StreamContext["forwardTo"] = (remotePort) =>
      forward(client, {
        ...{ sandbox: place.sandbox, host: "127.0.0.1", port: 0, remotePort },
        onError: (error) => {
          reason = brokenBy(error).text
          tally.note(`forward: ${reason}`)
        },
        onBroken: (error) => {
          reason = brokenBy(error).text
        },
      }).pipe(
        Effect.map(({ port }) => port),
        Effect.mapError(brokenBy),
      )
    return {
      ...{ client, place, pace, tally, stall, forwardTo, stopping },
      seed: options.seed * 10_007 + index,
      directory: path.join(directory, String(index)),
      takeReason: () => {
        const taken = reason
        reason = undefined
        return taken
      },
      latency: (ms) => {
        if (latenciesMs.length < limits.drillSamples) latenciesMs.push(ms)
      },
    }
  })

/** Its forward is kept until it has said why: the program at the end of a forward sees a reset alone. */
const settle = (context: StreamContext, broken: StreamBroken): Effect.Effect<void> =>
  Effect.suspend(() => {
    const endedAtMs = performance.now()
    context.stall.satisfied(endedAtMs)
    const count = Effect.sync(() => {
      const reason = context.takeReason()
      context.tally.broken(reason === undefined ? broken.text : `${broken.text}; ${reason}`, endedAtMs)
    })
    return Effect.zipRight(Effect.sleep(limits.drillReopenMs), count)
  })

/** Starts a broken stream again, as a client would, until it may stop. */
const keepAlive = (
  context: StreamContext,
  kind: Kind,
  stopping: () => boolean,
): Effect.Effect<void, never, never> =>
  Effect.sync(() => context.tally.begin()).pipe(
    Effect.zipRight(lives[kind](context)),
    Effect.catchAll((broken) => settle(context, broken)),
    Effect.scoped,
    Effect.repeat({ until: stopping }),
    Effect.asVoid,
  )

export const start = (options: LoadOptions): Effect.Effect<Load, never, Scope.Scope> =>
  Effect.gen(function* () {
    let isStopping = false
    const stopping = (): boolean => isStopping
    const streams: ReadonlyArray<Stream> = Array.from({ length: options.streams }, (_, index) => ({
      kind: kindOf(index),
      tally: new Tally(),
      stall: new StallMeter(),
      latenciesMs: [],
    }))
    const fibers = yield* Effect.forEach(streams, (stream, index) =>
      Effect.gen(function* () {
        const place = placeOf(options.places, index)
        if (place === undefined) return
        const context = yield* makeContext(options, index, stream, place, stopping)
        yield* keepAlive(context, stream.kind, stopping)
      }).pipe(Effect.scoped, Effect.forkScoped),
    )
    const end = (stream: Stream, fiber: Fiber.Fiber<void>) =>
      Fiber.join(fiber).pipe(
        Effect.timeoutOption(limits.drillStopMs),
        Effect.flatMap((ended) =>
          ended._tag === "Some"
            ? Effect.void
            : Effect.sync(() =>
                stream.tally.broken(
                  `${stream.kind}: did not end within ${limits.drillStopMs / 1_000} s after the drill`,
                ),
              ).pipe(Effect.zipRight(Fiber.interruptFork(fiber))),
        ),
      )
    return {
      working: Effect.suspend(() => {
        const idle = streams.filter(({ tally }) => !tally.working)
        if (idle.length === 0) return Effect.void
        const texts = idle.flatMap(({ tally }) => [...tally.counts().errorTexts.keys()])
        return new DrillError({
          message: `${idle.length} of ${streams.length} streams (${[...new Set(idle.map(({ kind }) => kind))].join(", ")}) do not work: ${texts[0] ?? "no answer"}`,
        })
      }).pipe(Effect.retry(Schedule.spaced(50).pipe(Schedule.upTo(limits.drillWorkingMs)))),
      beginWindow: Effect.sync(() => {
        for (const { tally, stall, latenciesMs } of streams) {
          tally.beginWindow()
          stall.beginWindow(performance.now())
          latenciesMs.length = 0
        }
      }),
      stop: Effect.suspend(() => {
        isStopping = true
        const ends = streams.flatMap((stream, index) => {
          const fiber = fibers[index]
          return fiber === undefined ? [] : [end(stream, fiber)]
        })
        return Effect.all(ends, { concurrency: "unbounded", discard: true })
      }),
      report: () =>
        streams.map(({ kind, tally, stall, latenciesMs }) => ({
          kind,
          counts: tally.counts(),
          endings: [...tally.endings],
          stallMs: isOperation(kind) ? undefined : stall.maxMs(performance.now()),
          latenciesMs,
        })),
    }
  })
