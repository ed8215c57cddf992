/** Exec over the wire, as a plain client does it. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { type ExecSandboxRequestSchema, OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { openTyped } from "./Calls.ts"

export interface ExecResult {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly exitCode: number
}

/** Runs a command to its end; rejects with the GrpcError that refused or cut it, and when no exit status came. */
export const exec = async (
  connection: GrpcConnection,
  request: MessageInitShape<typeof ExecSandboxRequestSchema>,
  timeoutMs = 30_000,
): Promise<ExecResult> => {
  const call = openTyped(connection, OpenShell.method.execSandbox, { timeoutMs })
  await call.send(request)
  call.end()
  const stdout: Array<Uint8Array> = []
  const stderr: Array<Uint8Array> = []
  let exitCode: number | undefined
  while (true) {
    const event = await call.receive()
    if (event === undefined) break
    if (event.payload.case === "stdout") stdout.push(event.payload.value.data)
    else if (event.payload.case === "stderr") stderr.push(event.payload.value.data)
    else if (event.payload.case === "exit") exitCode = event.payload.value.exitCode
  }
  if (exitCode === undefined) throw new Error("the stream ended without an exit event")
  return { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), exitCode }
}

export const sh = (connection: GrpcConnection, sandboxId: string, script: string, timeoutMs?: number) =>
  exec(connection, { sandboxId, command: ["sh", "-c", script] }, timeoutMs)
