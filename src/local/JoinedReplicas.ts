/** Replicas that others started against the same database: the front door serves them too. */
import { Effect, Schedule, type Scope } from "effect"
import { GatewayClient } from "../client/GatewayClient.ts"
import { limits } from "../domain/Limits.ts"
import type { Backend } from "./FrontDoor.ts"

const addressOf = (url: string): { readonly host: string; readonly port: number } | undefined => {
  if (!URL.canParse(url)) return undefined
  const { hostname, port, protocol } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) }
}

/**
 * Asks the cluster through its front door who is a member, again and again until the scope closes. The
 * result reads the latest answer without the replicas that `own` names; while nobody answers it stays.
 */
export const joinedReplicas = (
  frontDoor: string,
  own: () => ReadonlyArray<string>,
): Effect.Effect<() => ReadonlyArray<Backend>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* GatewayClient.make({ endpoint: { url: frontDoor } })
    let latest: ReadonlyArray<Backend> = []
    const ask = Effect.map(client.clusterStatus, ({ replicas }) => {
      latest = replicas.flatMap(({ name, url, live }) => {
        const address = addressOf(url)
        // A replica that calls the front door its own address would make it dial itself.
        return !live || address === undefined || url === frontDoor ? [] : [{ name, ...address }]
      })
    })
    yield* ask.pipe(
      Effect.ignore,
      Effect.delay(limits.membershipPollMs),
      Effect.repeat(Schedule.forever),
      Effect.forkScoped,
    )
    return () => latest.filter(({ name }) => !own().includes(name))
  })
