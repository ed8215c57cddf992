/** Calls of the control plane as many clients make them: reads, writes and watches over connections that stay. */
import { Status } from "../../../src/domain/Status.ts"
import { GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped, type TypedCall } from "../../kit/Calls.ts"

const { method } = OpenShell
const timeoutMs = 10_000

const connections = new Map<string, Promise<GrpcConnection>>()
const connectionTo = (url: string): Promise<GrpcConnection> => {
  const known = connections.get(url)
  if (known !== undefined) return known
  const made = GrpcConnection.connect({ url })
  connections.set(url, made)
  return made
}

export interface Rate {
  readonly calls: number
  readonly seconds: number
  readonly samplesMs: ReadonlyArray<number>
  /** Calls that the gateway asked to make again: not among the others. */
  readonly refused: number
}

/** One lane asks, waits for the answer and asks again until the time is up. */
const lanes = async (
  seconds: number,
  ask: ReadonlyArray<(turn: number) => Promise<unknown>>,
): Promise<Rate> => {
  const startedAtMs = performance.now()
  const samplesMs: Array<number> = []
  let refused = 0
  const until = startedAtMs + seconds * 1_000
  await Promise.all(
    ask.map(async (once) => {
      for (let turn = 0; performance.now() < until; turn++) {
        const at = performance.now()
        try {
          await once(turn)
          samplesMs.push(performance.now() - at)
        } catch (cause) {
          if (!(cause instanceof GrpcError) || cause.code !== Status.UNAVAILABLE) throw cause
          refused += 1
        }
      }
    }),
  )
  const took = (performance.now() - startedAtMs) / 1_000
  return { calls: samplesMs.length, seconds: took, samplesMs, refused }
}

/** `GetSandbox` by name, `atOnce` lanes over all replicas. */
export const reads = async (
  urls: ReadonlyArray<string>,
  names: ReadonlyArray<string>,
  seconds: number,
  atOnce: number,
): Promise<Rate> => {
  const open = await Promise.all(urls.map(connectionTo))
  return lanes(
    seconds,
    Array.from({ length: atOnce }, (_, lane) => async (turn: number) => {
      const connection = open[lane % open.length]
      const name = names[(lane * 7_919 + turn * 104_729) % names.length] ?? ""
      if (connection !== undefined) await callUnary(connection, method.getSandbox, { name }, { timeoutMs })
    }),
  )
}

const modes = ["manual", "auto"] as const

/** A setting of one sandbox, changed again and again: a compare-and-swap each. One lane for each name. */
export const writes = async (
  urls: ReadonlyArray<string>,
  names: ReadonlyArray<string>,
  seconds: number,
): Promise<Rate> => {
  const open = await Promise.all(urls.map(connectionTo))
  return lanes(
    seconds,
    names.map((name, lane) => async (turn: number) => {
      const connection = open[lane % open.length]
      const settingValue = { value: { case: "stringValue", value: modes[turn % 2] ?? "manual" } } as const
      const request = { name, settingKey: "proposal_approval_mode", settingValue }
      if (connection !== undefined) await callUnary(connection, method.updateConfig, request, { timeoutMs })
    }),
  )
}

type Watch = TypedCall<typeof method.watchSandbox.input, typeof method.watchSandbox.output>

const watches: Array<Watch> = []
let events = 0

/** Completes when every watcher has its snapshot. They go on until the process ends. */
export const watch = async (
  urls: ReadonlyArray<string>,
  ids: ReadonlyArray<string>,
): Promise<{ readonly watchers: number }> => {
  const open = await Promise.all(urls.map(connectionTo))
  await Promise.all(
    ids.map(async (id, at) => {
      const connection = open[at % open.length]
      if (connection === undefined) return
      const call: Watch = openTyped(connection, method.watchSandbox)
      watches.push(call)
      await call.send({ id, followStatus: true, followLogs: true, followEvents: true })
      call.end()
      if ((await call.receive()) === undefined) throw new Error("a watch ended before its snapshot")
      void follow(call)
    }),
  )
  return { watchers: watches.length }
}

const follow = async (call: Watch): Promise<void> => {
  try {
    while ((await call.receive()) !== undefined) events += 1
  } catch {
    broken += 1
  }
}

let broken = 0

/** Events after the snapshots, and watches that broke off. */
export const watched = (): { readonly events: number; readonly broken: number } => ({ events, broken })
