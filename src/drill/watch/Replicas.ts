/** Clients that talk to one replica each, past every balancer, made when they are needed. */
import { Effect, Scope } from "effect"
import { GatewayClient, type GatewayClientService } from "../../client/GatewayClient.ts"
import type { Site, SiteReplica } from "../sites/Site.ts"

export interface DirectClients {
  readonly of: (replica: SiteReplica) => Effect.Effect<GatewayClientService>
}

/** `timeoutMs`: deadline of their calls. */
export const directClients = (
  site: Site,
  timeoutMs: number,
): Effect.Effect<DirectClients, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clients = new Map<string, GatewayClientService>()
    return {
      of: (replica) =>
        Effect.suspend(() => {
          const known = clients.get(replica.url)
          if (known !== undefined) return Effect.succeed(known)
          return GatewayClient.make({
            endpoint: { ...site.endpoint, url: replica.url },
            workspace: site.workspace,
            timeoutMs,
          }).pipe(
            Scope.extend(scope),
            Effect.tap((client) => Effect.sync(() => clients.set(replica.url, client))),
          )
        }),
    }
  })
