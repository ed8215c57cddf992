import { Effect } from "effect"
import { upload } from "../../client/Transfer.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { flag, operand } from "../Options.ts"
import { reportTransfer } from "../TransferReport.ts"
import { stallNotice } from "../terminal/StallNotice.ts"
import { transferBar } from "../terminal/TransferBar.ts"

export const sandboxUpload: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const local = operand(invocation, 1)
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `upload ${local} to sandbox "${name}"`, sandbox: name }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const result = yield* Effect.scoped(
      Effect.flatMap(transferBar(local, !flag(invocation, "quiet")), (progress) =>
        upload(gateway, {
          ...progress,
          onStall: stallNotice(!flag(invocation, "quiet")),
          sandboxId: sandbox.id,
          local,
          remote: operand(invocation, 2),
          gitIgnore: flag(invocation, "gitIgnore"),
        }),
      ),
    ).pipe(attempting(gateway, attempt))
    yield* reportTransfer(invocation, "Uploaded", result)
    return 0
  })
