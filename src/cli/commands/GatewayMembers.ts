import { Effect } from "effect"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { unlessNegated } from "../Options.ts"
import { printListing } from "../Output.ts"
import { byName, replicaJson } from "./GatewayStatus.ts"

export const gatewayMembers: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const { replicas } = yield* gateway.clusterStatus.pipe(
      attempting(gateway, { action: "list the gateway's replicas" }),
    )
    yield* printListing(invocation, {
      rows: byName(replicas),
      columns: [
        { heading: "NAME", value: ({ name }) => name },
        { heading: "LIVE", value: ({ live }) => (live ? "yes" : "no") },
        { heading: "ADDRESS", value: ({ address }) => address },
        { heading: "URL", value: ({ url }) => url },
      ],
      wide: [{ heading: "VERSION", value: ({ version }) => version }],
      json: replicaJson,
      name: ({ name }) => name,
      empty: "No replicas.",
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })
