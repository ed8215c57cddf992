/** Opens a connection to a sandbox through every replica that should work, again and again, and takes the time. */
import net from "node:net"
import { Effect, Either, Schedule, Scope } from "effect"
import { forward } from "../../client/Forward.ts"
import { limits } from "../../domain/Limits.ts"
import type { DrillError } from "../DrillError.ts"
import { brokenBy, type Place, StreamBroken } from "../load/LoadStream.ts"
import type { Site, SiteReplica } from "../sites/Site.ts"
import { directClients } from "./Replicas.ts"

export interface OpenSample {
  /** When it began, since the start of the window. */
  readonly atMs: number
  readonly replica: string
  readonly tookMs: number
  /** Undefined when the connection came about and echoed a byte. */
  readonly error: string | undefined
}

export interface Prober {
  /** One open through a replica. */
  readonly open: (replica: SiteReplica, place: Place) => Effect.Effect<number, StreamBroken>
  /** From now on this replica is not expected to work, or is again. */
  readonly setAway: (name: string, away: boolean) => void
  readonly beginWindow: () => void
  readonly samples: () => ReadonlyArray<OpenSample>
}

/** From connect to the first byte that comes back. */
const echoOnce = (port: number): Effect.Effect<number, StreamBroken> =>
  Effect.async<number, StreamBroken>((resume) => {
    const startedAtMs = performance.now()
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true })
    let reason = "the connection was closed"
    socket.once("connect", () => socket.write("?"))
    socket.once("data", () => {
      resume(Effect.succeed(performance.now() - startedAtMs))
      socket.destroy()
    })
    socket.on("error", (error) => {
      reason = error.message
    })
    socket.once("close", () => resume(Effect.fail(new StreamBroken(reason))))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutFail({
      duration: limits.drillProbeTimeoutMs,
      onTimeout: () => new StreamBroken(`no answer within ${limits.drillProbeTimeoutMs / 1_000} s`),
    }),
  )

interface Door {
  readonly port: number
  /** What the forward said of connections that failed, before it reset them. */
  readonly errors: Array<string>
}

export const start = (
  site: Site,
  places: ReadonlyArray<Place>,
): Effect.Effect<Prober, DrillError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clients = yield* directClients(site, limits.drillProbeTimeoutMs)
    const doors = new Map<string, Door>()
    const away = new Set<string>()
    /** Those that worked once. One that is being added refuses everybody until it is ready. */
    const trusted = new Set<string>()
    let windowMs = performance.now()
    const samples: Array<OpenSample> = []

    const doorOf = (replica: SiteReplica, place: Place): Effect.Effect<Door, StreamBroken> =>
      Effect.gen(function* () {
        const key = `${replica.url} ${place.sandbox.id}`
        const known = doors.get(key)
        if (known !== undefined) return known
        const client = yield* clients.of(replica)
        const opened = yield* forward(client, {
          ...{ sandbox: place.sandbox, host: "127.0.0.1", port: 0, remotePort: place.tcpPort },
          onError: (error) => {
            door.errors.push(brokenBy(error).text)
          },
        }).pipe(Effect.mapError(brokenBy), Scope.extend(scope))
        const door: Door = { port: opened.port, errors: [] }
        doors.set(key, door)
        return door
      })

    const open: Prober["open"] = (replica, place) =>
      Effect.gen(function* () {
        const door = yield* doorOf(replica, place)
        return yield* Effect.mapError(
          echoOnce(door.port),
          (broken) => new StreamBroken(door.errors.shift() ?? broken.text),
        )
      })

    const probe = (replica: SiteReplica, place: Place): Effect.Effect<void> =>
      Effect.gen(function* () {
        const atMs = performance.now()
        const opened = yield* Effect.either(open(replica, place))
        if (Either.isRight(opened)) trusted.add(replica.name)
        // An open that was under way when its replica was taken away says nothing about the others.
        if (away.has(replica.name) || !trusted.has(replica.name)) return
        if (atMs < windowMs || samples.length >= limits.drillSamples) return
        samples.push({
          ...{ atMs: Math.round(atMs - windowMs), replica: replica.name },
          tookMs: performance.now() - atMs,
          error: Either.isLeft(opened) ? opened.left.text : undefined,
        })
      })

    let turn = 0
    const waiting = new Map<string, number>()
    const count = (name: string, change: number): number => {
      const now = (waiting.get(name) ?? 0) + change
      waiting.set(name, now)
      return now
    }
    const round = Effect.gen(function* () {
      turn += 1
      const place = places[turn % places.length]
      if (place === undefined) return
      for (const replica of yield* site.replicas) {
        if (away.has(replica.name) || count(replica.name, 0) >= limits.drillProbesAtOnce) continue
        count(replica.name, 1)
        yield* probe(replica, place).pipe(
          Effect.ensuring(Effect.sync(() => count(replica.name, -1))),
          Effect.forkIn(scope),
        )
      }
    })
    yield* round.pipe(Effect.ignore, Effect.repeat(Schedule.spaced(limits.drillProbeMs)), Effect.forkScoped)
    return {
      open,
      setAway: (name, isAway) => {
        if (isAway) {
          away.add(name)
          return
        }
        away.delete(name)
        trusted.add(name)
      },
      beginWindow: () => {
        windowMs = performance.now()
        samples.length = 0
      },
      samples: () => samples,
    }
  })
