/**
 * One SSH connection to a sandbox over a pair of byte streams: what runs behind ssh's ProxyCommand. It runs
 * once per ssh, scp and git command, so it loads neither Effect nor the descriptors of the whole wire.
 */
import type { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { limits } from "../domain/Limits.ts"
import { call } from "../wire/grpc/Calls.ts"
import type { CalledMethod } from "../wire/Method.ts"
import { proxyCalls } from "../wire/openshell-v1/ProxyCalls.ts"
import type { Endpoint } from "./Endpoint.ts"
import { Link } from "./Link.ts"
import type { StallListener } from "./Stalls.ts"
import { type OpenStream, openStream } from "./Streams.ts"

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
    const ask = <I, O>(method: CalledMethod<I, O>, request: I): Promise<O> =>
      link.call((connection) => call(connection, method, request, { timeoutMs }), {
        attempts: limits.clientCallAttempts,
      })
    const { sandbox: name, workspace } = options
    const sandboxId = await ask(proxyCalls.sandboxId, { name, workspace })
    const stream = await openStream(link, {
      kind: "ssh",
      sandboxId,
      serviceId: `ssh-proxy:${name}`,
      onStall: options.onStall,
      token: async () => {
        token = await ask(proxyCalls.createToken, sandboxId)
        return token
      },
    })
    await carry(stream, options)
  } finally {
    if (token !== undefined) await revoke(link, token)
    link.close()
  }
}

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
    await call(connection, proxyCalls.revokeToken, token, { timeoutMs: limits.revokeTimeoutMs })
  } catch {
    return
  }
}
