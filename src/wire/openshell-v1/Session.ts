/** The supervisor's session (contract 2.3), with our extension of its messages. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { RelayTarget } from "../../domain/Sandbox.ts"
import type {
  GatewayMessage,
  RelayFence,
  RelayOpen,
  SessionAdvice,
  SessionTerms,
  SupervisorCapabilities,
  SupervisorMessage,
} from "../../domain/Session.ts"
import { called, served } from "../grpc/Protobuf.ts"
import { encodeMessage } from "../grpc/Typed.ts"
import type * as Wire from "./Generated.ts"
import { GatewayMessageSchema, OpenShell, type SupervisorMessageSchema } from "./Generated.ts"
import { optional } from "./Optional.ts"

type Payload<M extends { readonly payload?: unknown }> = NonNullable<M["payload"]>
type GatewayPayload = Payload<MessageInitShape<typeof GatewayMessageSchema>>
type SupervisorPayload = Payload<MessageInitShape<typeof SupervisorMessageSchema>>

const capabilitiesOf = (wire: Wire.SupervisorCapabilities): SupervisorCapabilities => ({
  connectionEpoch: Number(wire.connectionEpoch),
  instanceStartedAtMs: Number(wire.instanceStartedAtMs),
  resume: wire.resume,
  redirect: wire.redirect,
  fence: wire.fence,
  exec: wire.exec,
  configPush: wire.configPush,
  liveChannelIds: wire.liveChannelIds,
})

const capabilitiesToWire = (capabilities: SupervisorCapabilities) => ({
  ...capabilities,
  connectionEpoch: BigInt(capabilities.connectionEpoch),
  instanceStartedAtMs: BigInt(capabilities.instanceStartedAtMs),
  liveChannelIds: [...capabilities.liveChannelIds],
})

const supervisorMessageOf = ({ payload }: Wire.SupervisorMessage): SupervisorMessage => {
  switch (payload.case) {
    case "hello": {
      const { sandboxId, instanceId, holdfast } = payload.value
      const capabilities = holdfast === undefined ? undefined : capabilitiesOf(holdfast)
      return { _tag: "Hello", sandboxId, instanceId, ...optional("capabilities", capabilities) }
    }
    case "heartbeat":
      return { _tag: "Heartbeat" }
    case "relayOpenResult": {
      const { channelId, success, error } = payload.value
      return { _tag: "RelayOpenResult", channelId, success, error }
    }
    case "relayClose":
      return { _tag: "RelayClose", channelId: payload.value.channelId, reason: payload.value.reason }
    default:
      return { _tag: "Unknown" }
  }
}

const supervisorPayload = (message: SupervisorMessage): SupervisorPayload => {
  switch (message._tag) {
    case "Hello": {
      const { sandboxId, instanceId, capabilities } = message
      const holdfast = capabilities === undefined ? undefined : capabilitiesToWire(capabilities)
      return { case: "hello", value: { sandboxId, instanceId, ...optional("holdfast", holdfast) } }
    }
    case "Heartbeat":
      return { case: "heartbeat", value: {} }
    case "RelayOpenResult": {
      const { channelId, success, error } = message
      return { case: "relayOpenResult", value: { channelId, success, error } }
    }
    case "RelayClose":
      return { case: "relayClose", value: { channelId: message.channelId, reason: message.reason } }
    case "Unknown":
      return { case: undefined }
  }
}

const adviceOf = ({ reconnectSpreadMs, configPollMs }: Wire.SessionAdvice): SessionAdvice => ({
  reconnectSpreadMs,
  configPollMs,
})

const termsOf = (wire: Wire.SessionTerms): SessionTerms => ({
  epoch: Number(wire.epoch),
  replica: wire.replica,
  reconnectDelayMs: wire.reconnectDelayMs,
  fence: wire.fence,
  redirectUrl: wire.redirectUrl,
  ...optional("advice", wire.advice === undefined ? undefined : adviceOf(wire.advice)),
})

const termsToWire = (terms: SessionTerms | undefined) =>
  optional("holdfast", terms === undefined ? undefined : { ...terms, epoch: BigInt(terms.epoch) })

const fenceOf = ({ epoch, binding, stream }: Wire.RelayFence): RelayFence => ({
  epoch: Number(epoch),
  binding,
  ...optional(
    "stream",
    stream === undefined ? undefined : { key: Buffer.from(stream.key).toString("hex"), kind: stream.kind },
  ),
})

const fenceToWire = ({ epoch, binding, stream }: RelayFence) => ({
  epoch: BigInt(epoch),
  binding,
  ...optional(
    "stream",
    stream === undefined ? undefined : { key: Buffer.from(stream.key, "hex"), kind: stream.kind },
  ),
})

/** No target at all means SSH: the first gateways of this wire knew nothing else. */
const targetOf = (target: Wire.RelayOpen["target"]): RelayTarget =>
  target.case === "tcp" ? { kind: "tcp", host: target.value.host, port: target.value.port } : { kind: "ssh" }

const relayOpenToWire = ({
  channelId,
  serviceId,
  target,
  fence,
}: RelayOpen): MessageInitShape<typeof Wire.RelayOpenSchema> => ({
  channelId,
  serviceId,
  target:
    target.kind === "ssh"
      ? { case: "ssh", value: {} }
      : { case: "tcp", value: { host: target.host, port: target.port } },
  ...optional("holdfast", fence === undefined ? undefined : fenceToWire(fence)),
})

const gatewayMessageOf = ({ payload }: Wire.GatewayMessage): GatewayMessage => {
  switch (payload.case) {
    case "sessionAccepted": {
      const { sessionId, heartbeatIntervalSecs, holdfast } = payload.value
      const terms = holdfast === undefined ? undefined : termsOf(holdfast)
      const heartbeatMs = heartbeatIntervalSecs * 1_000
      return { _tag: "Accepted", sessionId, heartbeatMs, ...optional("terms", terms) }
    }
    case "sessionRejected": {
      const { reason, holdfast } = payload.value
      const terms = holdfast === undefined ? undefined : termsOf(holdfast)
      return { _tag: "Rejected", reason, ...optional("terms", terms) }
    }
    case "heartbeat": {
      const { holdfast } = payload.value
      return { _tag: "Heartbeat", ...optional("advice", holdfast && adviceOf(holdfast)) }
    }
    case "relayOpen": {
      const { channelId, serviceId, target, holdfast } = payload.value
      const fence = holdfast === undefined ? undefined : fenceOf(holdfast)
      return {
        _tag: "RelayOpen",
        channelId,
        serviceId,
        target: targetOf(target),
        ...optional("fence", fence),
      }
    }
    case "relayClose":
      return { _tag: "RelayClose", channelId: payload.value.channelId, reason: payload.value.reason }
    case "holdfastMove":
      return { _tag: "Move", url: payload.value.url, reason: payload.value.reason }
    case "holdfastConfigChanged":
      return { _tag: "ConfigChanged", spreadMs: payload.value.spreadMs }
    default:
      return { _tag: "Unknown" }
  }
}

const gatewayPayload = (message: GatewayMessage): GatewayPayload => {
  switch (message._tag) {
    case "Accepted": {
      const { sessionId, heartbeatMs, terms } = message
      const heartbeatIntervalSecs = heartbeatMs / 1_000
      return { case: "sessionAccepted", value: { sessionId, heartbeatIntervalSecs, ...termsToWire(terms) } }
    }
    case "Rejected":
      return { case: "sessionRejected", value: { reason: message.reason, ...termsToWire(message.terms) } }
    case "Heartbeat":
      return { case: "heartbeat", value: optional("holdfast", message.advice) }
    case "RelayOpen":
      return { case: "relayOpen", value: relayOpenToWire(message) }
    case "RelayClose":
      return { case: "relayClose", value: { channelId: message.channelId, reason: message.reason } }
    case "Move":
      return { case: "holdfastMove", value: { url: message.url, reason: message.reason } }
    case "ConfigChanged":
      return { case: "holdfastConfigChanged", value: { spreadMs: message.spreadMs } }
    case "Unknown":
      return { case: undefined }
  }
}

const encodeGateway = (message: GatewayMessage): Uint8Array =>
  encodeMessage(GatewayMessageSchema, { payload: gatewayPayload(message) })

/** The same for every session and most of what a quiet replica sends: made once. */
const plainHeartbeat = encodeGateway({ _tag: "Heartbeat" })

const { connectSupervisor } = OpenShell.method

export const session = {
  connect: {
    ...served(connectSupervisor, supervisorMessageOf, (message: GatewayMessage) => ({
      payload: gatewayPayload(message),
    })),
    longCall: "session" as const,
    encodeResponse: (message: GatewayMessage): Uint8Array =>
      message._tag === "Heartbeat" && message.advice === undefined ? plainHeartbeat : encodeGateway(message),
  },
}

export const sessionCalls = {
  connect: called(
    connectSupervisor,
    (message: SupervisorMessage) => ({ payload: supervisorPayload(message) }),
    gatewayMessageOf,
  ),
}
