/** The first frames of relays (contract 2.3, 2.4). What follows them is bytes: `wire/RelayFraming.ts`. */
import type { ForwardFrame, ForwardStart, RelayFrame } from "../../domain/Forward.ts"
import type { RelayTarget } from "../../domain/Sandbox.ts"
import { called, served } from "../grpc/Protobuf.ts"
import type * as Wire from "./Generated.ts"
import { OpenShell } from "./Generated.ts"

const { method } = OpenShell

const targetOf = (target: Wire.TcpForwardInit["target"]): RelayTarget | undefined => {
  if (target.case === "ssh") return { kind: "ssh" }
  return target.case === "tcp" ? { kind: "tcp", host: target.value.host, port: target.value.port } : undefined
}

const startOf = (init: Wire.TcpForwardInit): ForwardStart => ({
  sandboxId: init.sandboxId,
  serviceId: init.serviceId,
  target: targetOf(init.target),
  token: init.authorizationToken,
  ...(init.holdfast === undefined
    ? {}
    : {
        carrier: {
          key: Buffer.from(init.holdfast.key).toString("hex"),
          kind: init.holdfast.kind,
          resumed: init.holdfast.resumed,
        },
      }),
})

const forwardFrameOf = ({ payload }: Wire.TcpForwardFrame): ForwardFrame =>
  payload.case === "init" ? { _tag: "Start", start: startOf(payload.value) } : { _tag: "Other" }

const relayFrameOf = ({ payload }: Wire.RelayFrame): RelayFrame =>
  payload.case === "init" ? { _tag: "Start", channelId: payload.value.channelId } : { _tag: "Other" }

/** Gateways answer in bytes only. */
const noMessage = (_: never) => ({})

export const forwards = {
  forward: served(method.forwardTcp, forwardFrameOf, noMessage),
  relay: { ...served(method.relayStream, relayFrameOf, noMessage), longCall: "relay" as const },
}

/** By the channel's id; after it come bytes. */
export const relayCall = called(
  method.relayStream,
  (channelId: string) => ({ payload: { case: "init" as const, value: { channelId } } }),
  (): void => undefined,
)
