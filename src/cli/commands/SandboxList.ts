import { Clock, Effect } from "effect"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { flag, numberOption, textOption, unlessNegated } from "../Options.ts"
import { printListing } from "../Output.ts"
import { sandboxColumns, sandboxJson, sandboxWideColumns } from "../SandboxView.ts"

export const sandboxList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const allWorkspaces = flag(invocation, "allWorkspaces")
    const rows = yield* gateway
      .listSandboxes({
        selector: textOption(invocation, "selector"),
        allWorkspaces,
        limit: numberOption(invocation, "limit"),
      })
      .pipe(attempting(gateway, { action: "list sandboxes" }))
    yield* printListing(invocation, {
      rows,
      columns: sandboxColumns(yield* Clock.currentTimeMillis, allWorkspaces),
      wide: sandboxWideColumns,
      json: sandboxJson,
      name: ({ name }) => name,
      empty: `No sandboxes${allWorkspaces ? "" : ` in workspace "${gateway.workspace}"`}.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })
