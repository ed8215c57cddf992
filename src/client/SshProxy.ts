/**
 * One SSH connection to a sandbox over a pair of byte streams: what runs behind ssh's ProxyCommand. It runs
 * once per ssh, scp and git command, so it loads neither Effect nor the descriptors of the whole wire: its
 * five messages are read and written field by field (numbers from `sandbox.proto` and `exec.proto`).
 */
import type { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import { limits } from "../domain/Limits.ts"
import type { Endpoint } from "./Endpoint.ts"
import { textField } from "./ForwardInit.ts"
import { Link } from "./Link.ts"
import type { StallListener } from "./Stalls.ts"
import { type OpenStream, openStream } from "./Streams.ts"

const path = (method: string): string => `/openshell.v1.OpenShell/${method}`

export interface SshProxyOptions {
  readonly endpoint: Endpoint
  readonly workspace: string
  readonly sandbox: string
  readonly timeoutMs?: number | undefined
  readonly input: Readable
  readonly output: Writable
  readonly onStall?: StallListener | undefined
}

/**
 * Resolves when the sandbox has closed its side and all of it is written. Rejects with ConnectFailed or
 * GrpcError when the connection cannot be opened, with those or a StreamError when it breaks for good; a plain
 * relay that breaks ends `output`, as ssh expects.
 */
export const sshProxy = async (options: SshProxyOptions): Promise<void> => {
  const link = new Link(options.endpoint)
  let token: string | undefined
  try {
    const timeoutMs = options.timeoutMs ?? limits.clientCallTimeoutMs
    const ask = (method: string, request: BinaryWriter): Promise<Buffer> =>
      link.call((connection) => connection.unary(path(method), request.finish(), { timeoutMs }), {
        attempts: limits.clientCallAttempts,
      })
    const sandboxId = sandboxIdOf(await ask("GetSandbox", getSandbox(options)))
    const stream = await openStream(link, {
      kind: "ssh",
      sandboxId,
      serviceId: `ssh-proxy:${options.sandbox}`,
      onStall: options.onStall,
      token: async () => {
        token = text(await ask("CreateSshSession", textField(new BinaryWriter(), 1, sandboxId)), 2)
        return token
      },
    })
    await carry(stream, options)
  } finally {
    if (token !== undefined) await revoke(link, token)
    link.close()
  }
}

const getSandbox = ({ sandbox, workspace }: SshProxyOptions): BinaryWriter =>
  textField(textField(new BinaryWriter(), 1, sandbox), 2, workspace)

const carry = async (
  { duplex, resumable, reason, close }: OpenStream,
  options: SshProxyOptions,
): Promise<void> => {
  let broken: unknown
  duplex.once("error", (error) => {
    // What ssh does to its end of the connection is its own business.
    if (resumable && !options.input.destroyed && !options.output.destroyed) broken = error
  })
  // What ssh sends and the end of what it sends; ssh reads an end of ours as the end of the connection.
  const sending = pipeline(options.input, duplex, { end: true }).catch(() => undefined)
  await pipeline(duplex, options.output, { end: false }).catch(() => undefined)
  options.input.destroy()
  await sending
  await close()
  if (broken !== undefined) throw await reason(broken)
}

/** The token expires by itself; leaving is not held up for it. */
const revoke = async (link: Link, token: string): Promise<void> => {
  try {
    const connection = await link.connection()
    const request = textField(new BinaryWriter(), 1, token).finish()
    await connection.unary(path("RevokeSshSession"), request, { timeoutMs: limits.revokeTimeoutMs })
  } catch {
    return
  }
}

/** SandboxResponse{sandbox = 1: {metadata = 1: {id = 1}}} */
const sandboxIdOf = (response: Uint8Array): string => text(bytesField(bytesField(response, 1), 1), 1)

const text = (message: Uint8Array, field: number): string =>
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
