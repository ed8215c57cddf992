/**
 * The handles of a running local cluster for other processes of the same user: HTTP on a unix socket in the state
 * directory, mode 0600. `POST /VERB?name=NAME` does it and answers when it is done, with the replicas as they are
 * then; `holdfast drill` is the client.
 */
import { chmodSync, rmSync } from "node:fs"
import http from "node:http"
import path from "node:path"
import { Data, Effect, Runtime, Schema, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import { type LocalCluster, LocalClusterError } from "./LocalCluster.ts"

/** The message says what failed and why. */
export class ControlError extends Data.TaggedError("ControlError")<{ readonly message: string }> {}

export const verbs = [
  ...(["replicas", "kill", "stop", "start", "freeze", "thaw", "add"] as const),
  ...(["database-stop", "database-start"] as const),
] as const
export type Verb = (typeof verbs)[number]

const Replica = Schema.Struct({
  name: Schema.String,
  url: Schema.String,
  metricsUrl: Schema.String,
  /** 0 while it does not run. */
  pid: Schema.Number,
})
/** `error` is what went wrong; then nothing else is there. */
const Answer = Schema.parseJson(
  Schema.Struct({ error: Schema.optional(Schema.String), replicas: Schema.Array(Replica) }),
)
type Answer = typeof Answer.Type
export type ControlledReplica = typeof Replica.Type

export const socketOf = (stateDir: string): string => path.join(stateDir, "control.sock")

const isVerb = (word: string): word is Verb => verbs.some((verb) => verb === word)

const noPostgres = new LocalClusterError({ message: "this cluster has no Postgres of its own", next: "" })

const perform = (
  cluster: LocalCluster,
  verb: Verb,
  name: string,
): Effect.Effect<unknown, { readonly message: string }> => {
  switch (verb) {
    case "replicas":
      return Effect.void
    case "start":
      return cluster.restart(name)
    case "add":
      return cluster.add
    case "database-stop":
      return cluster.postgres?.stop ?? noPostgres
    case "database-start":
      return cluster.postgres?.restart ?? noPostgres
    default:
      return cluster[verb](name)
  }
}

const answer = (cluster: LocalCluster, target: string): Effect.Effect<Answer> =>
  Effect.suspend(() => {
    const url = new URL(target, "http://control")
    const verb = url.pathname.slice(1)
    if (!isVerb(verb)) return Effect.succeed({ error: `there is no verb ${verb}`, replicas: [] })
    return perform(cluster, verb, url.searchParams.get("name") ?? "").pipe(
      Effect.match({
        onSuccess: () => ({ replicas: cluster.replicas() }),
        onFailure: ({ message }) => ({ error: message, replicas: [] }),
      }),
    )
  })

/** Serves until the scope closes. */
export const serve = (cluster: LocalCluster): Effect.Effect<void, ControlError, Scope.Scope> =>
  Effect.gen(function* () {
    const file = socketOf(cluster.stateDir)
    if (Buffer.byteLength(file) > limits.unixSocketPathBytes) {
      return yield* new ControlError({ message: `the path ${file} is too long for a socket` })
    }
    const runtime = yield* Effect.runtime<never>()
    const server = http.createServer((request, response) => {
      request.resume()
      void Runtime.runPromise(runtime)(answer(cluster, request.url ?? "/")).then((body) => {
        response.setHeader("content-type", "application/json")
        response.end(JSON.stringify(body))
      })
    })
    server.requestTimeout = 0
    yield* Effect.acquireRelease(
      Effect.async<void, ControlError>((resume) => {
        // The directory is claimed by this process, so a socket in it is one that a killed process left.
        rmSync(file, { force: true })
        server.once("error", (error) => resume(new ControlError({ message: error.message })))
        server.listen({ path: file }, () => {
          chmodSync(file, 0o600)
          resume(Effect.void)
        })
      }),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        }),
    )
  })

/** Asks the cluster of a state directory; fails when nothing serves it, and with what the cluster said. */
export const ask = (
  stateDir: string,
  verb: Verb,
  name = "",
): Effect.Effect<ReadonlyArray<ControlledReplica>, ControlError> =>
  Effect.async<string, ControlError>((resume) => {
    const failed = (error: Error): void =>
      resume(new ControlError({ message: `no cluster can be controlled in ${stateDir}: ${error.message}` }))
    const request = http.request(
      {
        socketPath: socketOf(stateDir),
        method: "POST",
        path: `/${verb}?${new URLSearchParams({ name })}`,
        agent: false,
      },
      (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => {
          text += chunk
        })
        response.once("error", failed)
        response.once("end", () => resume(Effect.succeed(text)))
      },
    )
    request.once("error", failed)
    request.end()
    return Effect.sync(() => request.destroy())
  }).pipe(
    Effect.timeoutFail({
      duration: limits.controlMs,
      onTimeout: () => new ControlError({ message: `${verb} did not end in ${limits.controlMs / 1_000} s` }),
    }),
    Effect.flatMap((text) =>
      Effect.mapError(
        Schema.decode(Answer)(text),
        () => new ControlError({ message: "the cluster's answer cannot be read" }),
      ),
    ),
    Effect.flatMap(({ error, replicas }) =>
      error === undefined ? Effect.succeed(replicas) : new ControlError({ message: error }),
    ),
  )
