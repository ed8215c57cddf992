/** A cluster known by its address alone: the drill makes load and watches, the operator causes the fault. */
import { Effect } from "effect"
import type { Globals } from "../../cli/Invocation.ts"
import { EndpointProblem, resolveEndpoint } from "../../client/Endpoint.ts"
import { DrillError } from "../DrillError.ts"
import type { Site } from "./Site.ts"

export const find = (globals: Globals): Effect.Effect<Site, DrillError> =>
  Effect.suspend(() => {
    const endpoint = resolveEndpoint(globals, process.env)
    if (endpoint instanceof EndpointProblem) return new DrillError({ message: endpoint.what })
    return Effect.succeed({
      endpoint,
      workspace: globals.workspace,
      // Its replicas may have no address of their own that reaches them from here.
      replicas: Effect.succeed([{ name: "gateway", url: endpoint.url }]),
      controls: undefined,
      disposable: false,
    })
  })
