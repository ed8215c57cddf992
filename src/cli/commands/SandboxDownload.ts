import { Effect } from "effect"
import { download } from "../../client/Transfer.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { flag, operand } from "../Options.ts"
import { reportTransfer } from "../TransferReport.ts"
import { stallNotice } from "../terminal/StallNotice.ts"
import { transferBar } from "../terminal/TransferBar.ts"

export const sandboxDownload: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const remote = operand(invocation, 1)
    const local = operand(invocation, 2)
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `download ${remote} from sandbox "${name}"`, sandbox: name }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const result = yield* Effect.scoped(
      Effect.flatMap(transferBar(remote, !flag(invocation, "quiet")), (progress) =>
        download(gateway, {
          ...progress,
          onStall: stallNotice(!flag(invocation, "quiet")),
          sandboxId: sandbox.id,
          remote,
          local: local === "" ? "." : local,
        }),
      ),
    ).pipe(attempting(gateway, attempt))
    yield* reportTransfer(invocation, "Downloaded", result)
    return 0
  })
