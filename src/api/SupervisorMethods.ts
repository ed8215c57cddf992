/** What supervisors call besides relays and logs: the session, and the end of their main process. */
import { Effect } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import type { GatewayMessage, SupervisorMessage } from "../domain/Session.ts"
import type { MainExit } from "../domain/SupervisorCalls.ts"
import { SessionStream } from "../edge/SessionStream.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { openShellAccess as access } from "./Access.ts"
import { type Exchange, Lasting, streaming, unary } from "./Operation.ts"
import { ownSandbox, sandboxOf } from "./Principal.ts"

const connectSupervisor = streaming(
  access.connectSupervisor,
  (exchange: Exchange<SupervisorMessage, GatewayMessage>, { principal }) =>
    Effect.gen(function* () {
      const sandboxId = yield* sandboxOf(principal)
      const sessions = yield* SessionStream
      return new Lasting(yield* sessions.run(sandboxId, exchange.call, exchange.encode, exchange.receive))
    }),
)

const reportMainProcessExit = unary(access.reportMainProcessExit, (exit: MainExit, { principal }) =>
  Effect.gen(function* () {
    if (exit.sandboxId === "") return yield* new InvalidArgument({ message: "sandbox_id is required" })
    if (exit.instanceId === "") return yield* new InvalidArgument({ message: "instance_id is required" })
    yield* ownSandbox(principal, exit.sandboxId)
    const actors = yield* SandboxActors
    yield* actors.ask(exit.sandboxId, (actor) =>
      actor.ReportExit({ instanceId: exit.instanceId, exitCode: exit.exitCode }),
    )
    return undefined
  }),
)

export const supervisorOperations = {
  connect: connectSupervisor,
  reportExit: reportMainProcessExit,
}
