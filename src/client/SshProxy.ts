/**
 * One SSH connection to a sandbox over a pair of byte streams: what runs behind ssh's ProxyCommand. It runs
 * once per ssh, scp and git command, so it loads neither Effect nor the descriptors of the whole wire: its
 * five messages are read and written field by field (numbers from `sandbox.proto` and `exec.proto`).
 */
import type { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import { limits } from "../domain/Limits.ts"
import type { ClientCall, GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import { clientLeg } from "../wire/RelayLeg.ts"
import type { Endpoint } from "./Endpoint.ts"
import { Link } from "./Link.ts"

const path = (method: string): string => `/openshell.v1.OpenShell/${method}`

export interface SshProxyOptions {
  readonly endpoint: Endpoint
  readonly workspace: string
  readonly sandbox: string
  readonly timeoutMs?: number | undefined
  readonly input: Readable
  readonly output: Writable
}

/**
 * Resolves when the sandbox has closed its side and all of it is written. Rejects with ConnectFailed or
 * GrpcError when the connection cannot be opened; a failure later ends `output`, as ssh expects.
 */
export const sshProxy = async (options: SshProxyOptions): Promise<void> => {
  const link = new Link(options.endpoint)
  let token: string | undefined
  try {
    const connection = await link.connection()
    const timeoutMs = options.timeoutMs ?? limits.clientCallTimeoutMs
    const ask = (method: string, request: BinaryWriter): Promise<Buffer> =>
      connection.unary(path(method), request.finish(), { timeoutMs })
    const sandboxId = sandboxIdOf(await ask("GetSandbox", getSandbox(options)))
    token = textField(await ask("CreateSshSession", text(new BinaryWriter(), 1, sandboxId)), 2)
    const call = await openForward(connection, { sandboxId, token, sandbox: options.sandbox })
    await carry(call, options)
  } finally {
    if (token !== undefined) await revoke(link, token)
    link.close()
  }
}

const text = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  value === "" ? writer : writer.tag(field, WireType.LengthDelimited).string(value)

const getSandbox = ({ sandbox, workspace }: SshProxyOptions): BinaryWriter =>
  text(text(new BinaryWriter(), 1, sandbox), 2, workspace)

/** TcpForwardFrame{init = 1: {sandbox_id = 1, service_id = 4, ssh = 5 (empty message), token = 7}} */
const forwardInit = (options: { sandboxId: string; token: string; sandbox: string }): Uint8Array => {
  const frame = new BinaryWriter().tag(1, WireType.LengthDelimited).fork()
  text(frame, 1, options.sandboxId)
  text(frame, 4, `ssh-proxy:${options.sandbox}`)
  frame.tag(5, WireType.LengthDelimited).fork().join()
  text(frame, 7, options.token)
  return frame.join().finish()
}

const openForward = async (
  connection: GrpcConnection,
  target: { sandboxId: string; token: string; sandbox: string },
): Promise<ClientCall> => {
  const call = connection.open(path("ForwardTcp"))
  await call.write(forwardInit(target))
  await call.headers
  return call
}

const carry = async (call: ClientCall, options: SshProxyOptions): Promise<void> => {
  const relay = new RelayDuplex(clientLeg(call))
  // What ssh sends and the end of what it sends; ssh reads an end of ours as the end of the connection.
  const sending = pipeline(options.input, relay, { end: true }).catch(() => undefined)
  await pipeline(relay, options.output, { end: false }).catch(() => undefined)
  options.input.destroy()
  await sending
}

/** The token expires by itself; leaving is not held up for it. */
const revoke = async (link: Link, token: string): Promise<void> => {
  try {
    const connection = await link.connection()
    const request = text(new BinaryWriter(), 1, token).finish()
    await connection.unary(path("RevokeSshSession"), request, { timeoutMs: limits.revokeTimeoutMs })
  } catch {
    return
  }
}

/** SandboxResponse{sandbox = 1: {metadata = 1: {id = 1}}} */
const sandboxIdOf = (response: Uint8Array): string => textField(bytesField(bytesField(response, 1), 1), 1)

const textField = (message: Uint8Array, field: number): string =>
  Buffer.from(bytesField(message, field)).toString("utf8")

/** The last value of a length-delimited field; empty when absent. */
const bytesField = (message: Uint8Array, wanted: number): Uint8Array => {
  const reader = new BinaryReader(message)
  let found: Uint8Array = new Uint8Array()
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === wanted && wireType === WireType.LengthDelimited) found = reader.bytes()
    else reader.skip(wireType, field)
  }
  return found
}
