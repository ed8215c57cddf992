/** The way from a host name to a connection to the application: who is meant, how many at once, one relay each. */
import type { Duplex } from "node:stream"
import { Context, Effect, Exit, Layer, Option, Runtime, Schedule, Scope } from "effect"
import { LimitReached, NotFound, type PublicError } from "../../domain/Errors.ts"
import { limits } from "../../domain/Limits.ts"
import { endpointName, type ServiceEndpoint, type ServiceName } from "../../domain/Service.ts"
import { ReplicaStreams } from "../../edge/ReplicaStreams.ts"
import { Metrics } from "../../observe/Metrics.ts"
import { RelayDuplex } from "../../wire/RelayDuplex.ts"
import { Directory } from "./Directory.ts"

/** A relay that many wait for frees its place within milliseconds; a browser's burst is worth a short wait. */
const whileFull = Schedule.exponential("20 millis").pipe(
  Schedule.jittered,
  Schedule.upTo(limits.sessionWaitMs),
)

/** Requests under way, in all and by sandbox. */
class Places {
  readonly #bySandbox = new Map<string, number>()
  #total = 0

  take(sandboxId: string): (() => void) | undefined {
    const count = this.#bySandbox.get(sandboxId) ?? 0
    if (this.#total >= limits.serviceRequests || count >= limits.serviceRequestsPerSandbox) return undefined
    this.#total += 1
    this.#bySandbox.set(sandboxId, count + 1)
    return () => {
      this.#total -= 1
      const left = (this.#bySandbox.get(sandboxId) ?? 1) - 1
      if (left === 0) this.#bySandbox.delete(sandboxId)
      else this.#bySandbox.set(sandboxId, left)
    }
  }

  get total(): number {
    return this.#total
  }
}

const make = Effect.gen(function* () {
  const directory = yield* Directory
  const streams = yield* ReplicaStreams
  const metrics = yield* Metrics
  const runtime = yield* Effect.runtime<never>()
  const places = new Places()

  const endpoint = (name: ServiceName) =>
    Effect.flatMap(
      directory.find(name),
      Option.match({
        onNone: () => Effect.fail(new NotFound({ message: "service endpoint not found" })),
        onSome: Effect.succeed,
      }),
    )

  const relay = ({ sandboxId, ...endpoint }: ServiceEndpoint) =>
    streams
      .open({
        sandboxId,
        target: { kind: "tcp", host: "127.0.0.1", port: endpoint.targetPort },
        serviceId: `service:${endpointName({ sandboxId, ...endpoint })}`,
        tokenHash: "",
        purpose: "http",
        binding: `service/${endpoint.id} ${sandboxId}`,
      })
      .pipe(Effect.retry({ while: (error) => error._tag === "LimitReached", schedule: whileFull }))

  /** A connection to the application; all it took is free again when it closes. */
  const open = (name: ServiceName): Effect.Effect<Duplex, PublicError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const found = yield* restore(endpoint(name))
        const free = places.take(found.sandboxId)
        if (free === undefined)
          return yield* new LimitReached({ message: "too many requests to services are under way" })
        metrics.serviceOpen.set(places.total)
        const scope = yield* Scope.make()
        const close = (exit: Exit.Exit<unknown, unknown>) =>
          Effect.zipRight(
            Effect.sync(() => {
              free()
              metrics.serviceOpen.set(places.total)
            }),
            Scope.close(scope, exit),
          )
        const opened = yield* restore(relay(found)).pipe(
          Scope.extend(scope),
          Effect.onError((cause) => close(Exit.failCause(cause))),
        )
        const duplex = opened._tag === "Stream" ? opened.stream : new RelayDuplex(opened.leg)
        duplex.on("error", () => undefined)
        duplex.once("close", () => void Runtime.runFork(runtime)(close(Exit.void)))
        return duplex
      }),
    )

  return { open } as const
})

export class ServiceGate extends Context.Tag("holdfast/ServiceGate")<
  ServiceGate,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(ServiceGate, make)
}
