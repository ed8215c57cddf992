/** Messages of the streaming methods: right ones in any order, the opening one first. */
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf"
import { encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import {
  ExecSandboxInputSchema,
  OpenShell,
  PushSandboxLogsRequestSchema,
  RelayFrameSchema,
  SupervisorMessageSchema,
  TcpForwardFrameSchema,
  WatchSandboxRequestSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import type { Random } from "../simulation/kernel/Random.ts"
import { randomBytes } from "./Mutate.ts"

/** What the messages name: things that are there. */
export interface World {
  /** Whose sessions, relays and logs are the fuzzer's. */
  readonly hollow: { readonly id: string; readonly token: string }
  /** With supervisors that work. */
  readonly living: ReadonlyArray<{ readonly id: string; readonly sshTokens: ReadonlyArray<string> }>
  readonly echoPort: number
  /** Channels that were opened to the hollow sandbox and nobody has claimed. */
  readonly channels: Array<string>
}

export interface Stream {
  readonly path: string
  readonly asSandbox: boolean
  readonly weight: number
  readonly first: (random: Random, world: World) => Uint8Array
  readonly later: (random: Random, world: World) => Uint8Array
}

const encode = <T extends DescMessage>(schema: T, init: MessageInitShape<T>): Uint8Array =>
  encodeMessage(schema, init)
const uuid = (random: Random): string => {
  const hex = randomBytes(random, 16).toString("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}
/** Mostly small, sometimes a whole chunk. */
const payload = (random: Random): Buffer =>
  random.chance(0.02) ? Buffer.alloc(16_384, random.below(256)) : randomBytes(random, random.below(120))

const supervisor: Stream = {
  path: methodPath(OpenShell.method.connectSupervisor),
  asSandbox: true,
  weight: 20,
  first: (random, { hollow }) =>
    encode(SupervisorMessageSchema, {
      payload: { case: "hello", value: { sandboxId: hollow.id, instanceId: `fuzz-${random.below(4)}` } },
    }),
  later: (random, { channels }) => {
    const channelId = (random.chance(0.5) ? random.pick(channels) : undefined) ?? uuid(random)
    const messages: ReadonlyArray<MessageInitShape<typeof SupervisorMessageSchema>> = [
      { payload: { case: "heartbeat", value: {} } },
      {
        payload: { case: "relayOpenResult", value: { channelId, success: random.chance(0.5), error: "no" } },
      },
      { payload: { case: "relayClose", value: { channelId, reason: "over" } } },
      { payload: { case: "hello", value: { sandboxId: "another", instanceId: "again" } } },
    ]
    return encode(SupervisorMessageSchema, random.pick(messages) ?? {})
  },
}

const relay: Stream = {
  path: methodPath(OpenShell.method.relayStream),
  asSandbox: true,
  weight: 25,
  first: (random, { channels }) =>
    encode(RelayFrameSchema, {
      payload: { case: "init", value: { channelId: channels.shift() ?? uuid(random) } },
    }),
  later: (random) =>
    encode(
      RelayFrameSchema,
      random.chance(0.95)
        ? { payload: { case: "data", value: payload(random) } }
        : { payload: { case: "init", value: { channelId: uuid(random) } } },
    ),
}

const forward: Stream = {
  path: methodPath(OpenShell.method.forwardTcp),
  asSandbox: false,
  weight: 25,
  first: (random, { living, hollow, echoPort }) => {
    const sandbox = random.chance(0.7) ? random.pick(living) : undefined
    const authorizationToken = random.pick(sandbox?.sshTokens ?? living[0]?.sshTokens ?? []) ?? ""
    return encode(TcpForwardFrameSchema, {
      payload: {
        case: "init",
        value: {
          sandboxId: sandbox?.id ?? hollow.id,
          authorizationToken,
          target: random.chance(0.8)
            ? { case: "tcp", value: { host: "127.0.0.1", port: echoPort } }
            : { case: "ssh", value: {} },
        },
      },
    })
  },
  later: (random) => encode(TcpForwardFrameSchema, { payload: { case: "data", value: payload(random) } }),
}

const exec: Stream = {
  path: methodPath(OpenShell.method.execSandboxInteractive),
  asSandbox: false,
  weight: 3,
  first: (random, { living }) =>
    encode(ExecSandboxInputSchema, {
      payload: {
        case: "start",
        value: {
          sandboxId: random.pick(living)?.id ?? "",
          command: ["cat"],
          tty: random.chance(0.3),
          timeoutSeconds: 2,
          environment: { A: "b" },
        },
      },
    }),
  later: (random) =>
    encode(
      ExecSandboxInputSchema,
      random.chance(0.8)
        ? { payload: { case: "stdin", value: payload(random) } }
        : {
            payload: { case: "resize", value: { cols: random.below(0xffff_ffff), rows: random.below(300) } },
          },
    ),
}

const push: Stream = {
  path: methodPath(OpenShell.method.pushSandboxLogs),
  asSandbox: true,
  weight: 12,
  first: (random, world) => push.later(random, world),
  later: (random, { hollow }) =>
    encode(PushSandboxLogsRequestSchema, {
      sandboxId: hollow.id,
      logs: Array.from({ length: random.below(4) }, () => ({
        sandboxId: hollow.id,
        timestampMs: BigInt(random.below(0xffff_ffff)) * 1_000n,
        level: random.pick(["INFO", "WARN", "OCSF", "", "nonsense"]) ?? "",
        target: "fuzz",
        message: randomBytes(random, random.below(80)).toString("latin1"),
        fields: { a: "b" },
      })),
    }),
}

const watch: Stream = {
  path: methodPath(OpenShell.method.watchSandbox),
  asSandbox: false,
  weight: 15,
  first: (random, { living, hollow }) =>
    encode(WatchSandboxRequestSchema, {
      id: (random.chance(0.5) ? random.pick(living)?.id : undefined) ?? hollow.id,
      followStatus: random.chance(0.5),
      followLogs: random.chance(0.5),
      followEvents: random.chance(0.5),
      logTailLines: random.chance(0.1) ? random.below(0xffff_ffff) : random.below(5),
      eventTail: random.below(60),
      stopOnTerminal: random.chance(0.7),
      logSinceMs: BigInt(random.below(0xffff_ffff)),
      logSources: ["gateway"],
      logMinLevel: random.pick(["", "INFO", "x"]) ?? "",
    }),
  later: (random, world) => watch.first(random, world),
}

export const streams: ReadonlyArray<Stream> = [supervisor, relay, forward, exec, push, watch]
const whole = streams.reduce((sum, { weight }) => sum + weight, 0)

export const pickStream = (random: Random): Stream => {
  let left = random.next() * whole
  for (const stream of streams) {
    left -= stream.weight
    if (left < 0) return stream
  }
  return supervisor
}
