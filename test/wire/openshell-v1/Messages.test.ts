/** Values of the domain come through the wire as they went in, whichever of its codecs reads or writes them. */
import { create, toBinary } from "@bufbuild/protobuf"
import { describe, expect, it } from "vitest"
import type { ForwardStart } from "../../../src/domain/Forward.ts"
import type { GatewayMessage, SupervisorMessage } from "../../../src/domain/Session.ts"
import { forwards } from "../../../src/wire/openshell-v1/Forwards.ts"
import { GatewayMessageSchema } from "../../../src/wire/openshell-v1/Generated.ts"
import { forwardCall, proxyCalls } from "../../../src/wire/openshell-v1/ProxyCalls.ts"
import { sandboxCalls, sandboxes } from "../../../src/wire/openshell-v1/Sandboxes.ts"
import { session, sessionCalls } from "../../../src/wire/openshell-v1/Session.ts"
import { sshSessionCalls } from "../../../src/wire/openshell-v1/SshSessions.ts"
import { aSandbox } from "../../kit/Stores.ts"

const advice = { reconnectSpreadMs: 3_000, configPollMs: 60_000 }
const terms = { epoch: 7, replica: "one", reconnectDelayMs: 0, fence: true, redirectUrl: "", advice }

const fromGateway: ReadonlyArray<GatewayMessage> = [
  { _tag: "Accepted", sessionId: "s", heartbeatMs: 15_000 },
  { _tag: "Accepted", sessionId: "s", heartbeatMs: 15_000, terms },
  { _tag: "Rejected", reason: "no", terms: { ...terms, reconnectDelayMs: 9 } },
  { _tag: "Heartbeat" },
  { _tag: "Heartbeat", advice },
  { _tag: "RelayOpen", channelId: "c", serviceId: "x", target: { kind: "ssh" } },
  {
    _tag: "RelayOpen",
    channelId: "c",
    serviceId: "x",
    target: { kind: "tcp", host: "127.0.0.1", port: 80 },
    fence: { epoch: 7, binding: "b", stream: { key: "0aff", kind: "tcp" } },
  },
  { _tag: "RelayClose", channelId: "c", reason: "r" },
  { _tag: "Move", url: "http://two", reason: "drain" },
  { _tag: "ConfigChanged", spreadMs: 5 },
  { _tag: "Unknown" },
]

const fromSupervisor: ReadonlyArray<SupervisorMessage> = [
  { _tag: "Hello", sandboxId: "a", instanceId: "i" },
  { _tag: "Heartbeat" },
  { _tag: "RelayOpenResult", channelId: "c", success: false, error: "refused" },
  { _tag: "RelayClose", channelId: "c", reason: "r" },
  { _tag: "Unknown" },
]

describe("a session's messages", () => {
  it.each(fromGateway)("of a gateway arrive as they were sent: $_tag", (message) => {
    expect(sessionCalls.connect.decodeResponse(session.connect.encodeResponse(message))).toEqual(message)
  })

  it.each(fromSupervisor)("of a supervisor arrive as they were sent: $_tag", (message) => {
    expect(session.connect.decodeRequest(sessionCalls.connect.encodeRequest(message))).toEqual(message)
  })

  it("have a plain heartbeat that is made once and is OpenShell's", () => {
    const plain = session.connect.encodeResponse({ _tag: "Heartbeat" })
    expect(plain).toBe(session.connect.encodeResponse({ _tag: "Heartbeat" }))
    const message = create(GatewayMessageSchema, { payload: { case: "heartbeat", value: {} } })
    expect(Buffer.from(plain)).toEqual(Buffer.from(toBinary(GatewayMessageSchema, message)))
  })
})

describe("the calls of ssh-proxy", () => {
  const bytes = (message: Uint8Array) => Buffer.from(message)

  it("ask in the bytes of the whole wire", () => {
    const name = { name: "demo", workspace: "lab" }
    expect(bytes(proxyCalls.sandboxId.encodeRequest(name))).toEqual(
      bytes(sandboxCalls.get.encodeRequest(name)),
    )
    expect(bytes(proxyCalls.createToken.encodeRequest("id"))).toEqual(
      bytes(sshSessionCalls.create.encodeRequest("id")),
    )
    expect(bytes(proxyCalls.revokeToken.encodeRequest("t"))).toEqual(
      bytes(sshSessionCalls.revoke.encodeRequest("t")),
    )
  })

  it("find the id of a sandbox in the answer", () => {
    const sandbox = aSandbox({ name: "demo" })
    expect(proxyCalls.sandboxId.decodeResponse(sandboxes.get.encodeResponse(sandbox))).toBe(sandbox.id)
  })

  const starts: ReadonlyArray<ForwardStart> = [
    { sandboxId: "a", serviceId: "", target: { kind: "ssh" }, token: "t" },
    { sandboxId: "a", serviceId: "x", target: undefined, token: "" },
    {
      sandboxId: "a",
      serviceId: "x",
      target: { kind: "tcp", host: "localhost", port: 8_080 },
      token: "t",
      carrier: { key: "00".repeat(32), kind: "tcp", resumed: true },
    },
  ]
  it.each(starts)("open forwards that a gateway understands: $target.kind", (start) => {
    expect(forwards.forward.decodeRequest(forwardCall.encodeRequest(start))).toEqual({ _tag: "Start", start })
  })
})
