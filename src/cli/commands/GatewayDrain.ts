import { Duration, Effect } from "effect"
import { limits } from "../../domain/Limits.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { printJson, say } from "../Output.ts"

const counted = (remaining: number): string =>
  `${remaining} ${remaining === 1 ? "session, relay or client" : "sessions, relays and clients"} left`

/** Asks a replica to hand over what it holds, or to serve again; with `--wait` until nothing is left. */
export const gatewayDrain: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { options, operands, globals } = invocation
    const name = operands[0] ?? ""
    const cancel = options.cancel === true
    const gateway = yield* openGateway(invocation)
    const attempt = attempting(gateway, { action: cancel ? `cancel the drain of ${name}` : `drain ${name}` })
    const answer = yield* gateway
      .drainReplica({ name, cancel, deadlineMs: typeof options.deadline === "number" ? options.deadline : 0 })
      .pipe(attempt)
    let { draining, remaining } = answer
    if (options.wait === true && draining) {
      yield* say(`${name} is draining: ${counted(remaining)}.`)
      while (draining && remaining > 0) {
        yield* Effect.sleep(Duration.millis(limits.drainFollowMs))
        const { replicas } = yield* gateway.clusterStatus.pipe(attempt)
        const replica = replicas.find((one) => one.name === name)
        // A replica that ended meanwhile holds nothing any more.
        const left = replica?.live === true ? replica.drainRemaining : 0
        draining = replica?.live === true ? replica.draining : false
        if (left !== remaining) yield* say(`${name}: ${counted(left)}.`)
        remaining = left
      }
    }
    if (globals.output === "json") {
      yield* printJson({ name, draining, remaining })
      return 0
    }
    if (cancel) yield* say(`${name} serves again.`)
    else if (options.wait === true)
      yield* say(remaining === 0 ? `${name} is drained.` : `${name} serves again.`)
    else yield* say(`${name} is draining: ${counted(remaining)}. Watch it with: holdfast gateway status`)
    return 0
  })
