/**
 * A command on a resumable stream: gRPC frames, `ExecInput` towards the command, `ExecEvent` back. Clients,
 * gateways and supervisors of ours agree on it whatever wire the client's call came by; its messages are those of
 * OpenShell's `ExecSandboxInteractive`, so that a gateway passes them on unread between two that speak it.
 */
import { exec, execCalls } from "./openshell-v1/Exec.ts"
import { outputHeader } from "./openshell-v1/ExecFrames.ts"

export const execStream = {
  encodeInput: execCalls.interactive.encodeRequest,
  decodeInput: exec.interactive.decodeRequest,
  encodeEvent: exec.interactive.encodeResponse,
  decodeEvent: execCalls.interactive.decodeResponse,
  /** What stands before so many bytes of output, the gRPC prefix included: they need not be copied. */
  outputHeader,
}
