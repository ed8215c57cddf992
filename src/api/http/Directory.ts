/** Endpoints by host name, kept until one of them changes: a service in use costs no statement for each request. */
import { Context, Effect, Layer, Option, type Scope, Stream } from "effect"
import type { Unavailable } from "../../domain/Errors.ts"
import { limits } from "../../domain/Limits.ts"
import type { ServiceEndpoint, ServiceName } from "../../domain/Service.ts"
import type { Change } from "../../store/ChangeBus.ts"
import { Changes } from "../../store/Changes.ts"
import { Services } from "../../store/Services.ts"

const keyOf = ({ workspace, sandbox, service }: ServiceName): string => `${workspace}--${sandbox}--${service}`

/** Puts it in, at the cost of the oldest when there are too many. */
const remember = <A>(known: Map<string, A>, key: string, value: A): void => {
  const oldest = known.keys().next()
  if (known.size >= limits.serviceEndpointsKnown && oldest.done !== true) known.delete(oldest.value)
  known.set(key, value)
}

/** What is known; counts what happened, so that an answer that was overtaken by a change is not kept. */
export class KnownEndpoints {
  readonly #found = new Map<string, Option.Option<ServiceEndpoint>>()
  /** Apart from the others: strangers choose the names that do not exist, and would drive those out that do. */
  readonly #missing = new Map<string, Option.Option<ServiceEndpoint>>()
  #changes = 0

  get size(): number {
    return this.#found.size + this.#missing.size
  }

  get changes(): number {
    return this.#changes
  }

  find(key: string): Option.Option<ServiceEndpoint> | undefined {
    return this.#found.get(key) ?? this.#missing.get(key)
  }

  /** `since`: the count of changes before the store was asked. */
  learn(key: string, found: Option.Option<ServiceEndpoint>, since: number): void {
    if (since === this.#changes) remember(Option.isSome(found) ? this.#found : this.#missing, key, found)
  }

  apply(change: Change): void {
    if (change.kind === "resync") this.#found.clear()
    else if (change.kind === "service" || change.kind === "removed") {
      for (const [key, endpoint] of this.#found)
        if (Option.isSome(endpoint) && endpoint.value.sandboxId === change.sandboxId) this.#found.delete(key)
    } else return
    this.#missing.clear()
    this.#changes += 1
  }
}

const make = Effect.gen(function* () {
  const services = yield* Services
  const changes = yield* Changes
  const known = new KnownEndpoints()
  yield* Stream.runForEach(changes.all, (change) => Effect.sync(() => known.apply(change))).pipe(
    Effect.forkScoped,
  )

  const find = (name: ServiceName): Effect.Effect<Option.Option<ServiceEndpoint>, Unavailable> =>
    Effect.suspend(() => {
      const key = keyOf(name)
      const cached = known.find(key)
      if (cached !== undefined) return Effect.succeed(cached)
      const since = known.changes
      return Effect.tap(services.find(name), (found) => known.learn(key, found, since))
    })

  return { find } as const
})

export class Directory extends Context.Tag("holdfast/ServiceDirectory")<
  Directory,
  Effect.Effect.Success<typeof make>
>() {
  static layer: Layer.Layer<Directory, never, Exclude<Effect.Effect.Context<typeof make>, Scope.Scope>> =
    Layer.scoped(Directory, make)
}
