/** Unary calls as the reference makes them: a new connection for each, and its retries at start-up. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Status } from "../../../src/domain/Status.ts"
import { GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { callUnary } from "../Calls.ts"

export interface Caller {
  readonly endpoint: string
  /** Read for every call. */
  readonly token: () => string
}

/** PING every 10 s even when idle, 20 s for its answer (sheet 1.2). */
export const keepalive = { intervalMs: 10_000, timeoutMs: 20_000 }

export const connectTo = ({ endpoint, token }: Caller): Promise<GrpcConnection> =>
  GrpcConnection.connect({
    url: endpoint,
    connectTimeoutMs: 10_000,
    keepalive,
    headers: () => ({ authorization: `Bearer ${token()}` }),
  })

export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener("abort", done)
      resolve()
    }
    signal?.addEventListener("abort", done, { once: true })
  })

export const callOnce = async <I extends DescMessage, O extends DescMessage>(
  caller: Caller,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> => {
  const connection = await connectTo(caller)
  try {
    return await callUnary(connection, method, request, { timeoutMs: 30_000 })
  } finally {
    connection.destroy()
  }
}

const retryable: ReadonlySet<number> = new Set([
  Status.UNAVAILABLE,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
  Status.ABORTED,
  Status.INTERNAL,
  Status.UNKNOWN,
])
const pausesMs = [1_000, 2_000, 4_000, 4_000]

/** Five attempts with pauses of 1, 2, 4 and 4 s; other statuses than those of the list end it (sheet 1.3). */
export const callAtStart = async <I extends DescMessage, O extends DescMessage>(
  caller: Caller,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await callOnce(caller, method, request)
    } catch (error) {
      const pauseMs = pausesMs[attempt]
      if (pauseMs === undefined || (error instanceof GrpcError && !retryable.has(error.code))) throw error
      await sleep(pauseMs)
    }
  }
}
