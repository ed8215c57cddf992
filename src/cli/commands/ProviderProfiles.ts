import { Effect } from "effect"
import { listProfiles } from "../../client/Providers.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { unlessNegated } from "../Options.ts"
import { printListing } from "../Output.ts"

export const providerProfileList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const rows = yield* listProfiles(gateway).pipe(attempting(gateway, { action: "list provider profiles" }))
    yield* printListing(invocation, {
      rows,
      columns: [
        { heading: "PROFILE", value: ({ id }) => id },
        { heading: "CATEGORY", value: ({ category }) => category },
        { heading: "INFERENCE", value: ({ inferenceCapable }) => (inferenceCapable ? "yes" : "") },
        {
          heading: "VARIABLES",
          value: ({ credentials }) => credentials.flatMap(({ envVars }) => envVars).join(","),
        },
      ],
      wide: [
        { heading: "ENDPOINTS", value: ({ endpoints }) => endpoints.join(",") },
        { heading: "DESCRIPTION", value: ({ description }) => description },
      ],
      json: (profile) => profile,
      name: ({ id }) => id,
      empty: "The gateway knows no provider profiles.",
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })
