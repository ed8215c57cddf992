import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  toBinary,
} from "@bufbuild/protobuf"
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { describe, expect, it } from "vitest"
import { ComputeDriver } from "../../src/wire/compute-v1/Generated.ts"
import * as Holdfast from "../../src/wire/holdfast-v1/Generated.ts"
import * as Wire from "../../src/wire/openshell-v1/Generated.ts"

const numberOf = (schema: DescMessage, field: string): number | undefined =>
  schema.fields.find((candidate: DescField) => candidate.name === field)?.number

describe("the OpenShell wire", () => {
  it("declares every method of the contract and no other", () => {
    expect(Wire.OpenShell.methods).toHaveLength(67)
    expect(Wire.Inference.methods).toHaveLength(4)
    expect(ComputeDriver.methods).toHaveLength(12)
    const streaming = Wire.OpenShell.methods
      .filter((method) => method.methodKind !== "unary")
      .map((method) => `${method.name} ${method.methodKind}`)
    expect(streaming.sort()).toEqual([
      "ConnectSupervisor bidi_streaming",
      "ExecSandbox server_streaming",
      "ExecSandboxInteractive bidi_streaming",
      "ForwardTcp bidi_streaming",
      "PushSandboxLogs client_streaming",
      "RelayStream bidi_streaming",
      "WatchSandbox server_streaming",
    ])
  })

  it("numbers its fields as the peers do", () => {
    const expected: ReadonlyArray<readonly [DescMessage, string, number]> = [
      [Wire.SupervisorMessageSchema, "hello", 1],
      [Wire.SupervisorMessageSchema, "heartbeat", 2],
      [Wire.SupervisorMessageSchema, "relay_open_result", 3],
      [Wire.GatewayMessageSchema, "session_accepted", 1],
      [Wire.GatewayMessageSchema, "relay_open", 4],
      [Wire.RelayOpenSchema, "channel_id", 1],
      [Wire.RelayOpenSchema, "service_id", 5],
      [Wire.RelayFrameSchema, "init", 1],
      [Wire.RelayFrameSchema, "data", 2],
      [Wire.TcpForwardFrameSchema, "data", 2],
      [Wire.SandboxSpecSchema, "environment", 5],
      [Wire.SandboxSpecSchema, "policy", 7],
      [Wire.SandboxSpecSchema, "command", 12],
      [Wire.SandboxSpecSchema, "tty", 13],
      [Wire.ObjectMetaSchema, "resource_version", 5],
      [Wire.ObjectMetaSchema, "deletion_timestamp_ms", 8],
      [Wire.GetSandboxConfigResponseSchema, "config_revision", 5],
      [Wire.GetSandboxConfigResponseSchema, "workspace", 10],
      [Wire.NetworkEndpointSchema, "provider_credentialed", 26],
      [Wire.ReportMainProcessExitRequestSchema, "exit_code", 3],
      [Wire.GetInferenceBundleResponseSchema, "generated_at_ms", 3],
    ]
    for (const [schema, field, number] of expected) {
      expect(numberOf(schema, field), `${schema.typeName}.${field}`).toBe(number)
    }
  })

  it("carries who may call a method as an option of the method", () => {
    const rules = [...Wire.OpenShell.methods, ...Wire.Inference.methods, ...Holdfast.Admin.methods].map(
      (method) => [method.name, getOption(method, Wire.authorization)] as const,
    )
    for (const [name, rule] of rules) {
      expect(["unauth", "bearer", "sandbox", "dual"], name).toContain(rule.authMode)
    }
    const byName = new Map(rules)
    expect(byName.get("Health")).toMatchObject({ authMode: "unauth", scope: "" })
    expect(byName.get("CreateSandbox")).toMatchObject({
      authMode: "bearer",
      scope: "sandbox:write",
      workspaceRole: "user",
    })
    expect(byName.get("GetGatewayInfo")).toMatchObject({ globalRole: "platform_admin" })
    expect(byName.get("RelayStream")).toMatchObject({ authMode: "sandbox" })
  })

  it("marks secrets as an option of the field", () => {
    const secrets = Wire.RefreshSandboxTokenResponseSchema.fields
      .filter((field) => getOption(field, Wire.secret))
      .map((field) => field.name)
    expect(secrets).toEqual(["token"])
  })

  it("puts the data of a relay and of a forward into the same tag, so that bytes pass uncut", () => {
    const data = Buffer.from("bytes of a stream")
    const relay = toBinary(
      Wire.RelayFrameSchema,
      create(Wire.RelayFrameSchema, { payload: { case: "data", value: data } }),
    )
    expect(relay[0]).toBe(0x12)
    const forward = fromBinary(Wire.TcpForwardFrameSchema, relay)
    if (forward.payload.case !== "data") throw new Error("the frame carries no data")
    expect(Buffer.from(forward.payload.value)).toEqual(data)
  })

  it("round-trips 64-bit times and maps", () => {
    const sandbox = create(Wire.SandboxSchema, {
      metadata: { id: "a", createdAtMs: 1_790_000_000_123n, labels: { team: "one" }, resourceVersion: 7n },
      spec: { command: ["/bin/bash", "-l"], environment: { A: "1" }, tty: true },
      status: { phase: Wire.SandboxPhase.READY },
    })
    expect(fromBinary(Wire.SandboxSchema, toBinary(Wire.SandboxSchema, sandbox))).toEqual(sandbox)
  })
})

describe("the Holdfast extension", () => {
  it("is skipped by a peer whose schema lacks field 47001", () => {
    const directory = mkdtempSync(join(tmpdir(), "holdfast-proto-"))
    writeFileSync(
      join(directory, "plain.proto"),
      'syntax = "proto3"; package plain; message Hello { string sandbox_id = 1; string instance_id = 2; }',
    )
    const image = join(directory, "plain.binpb")
    execFileSync("node_modules/.bin/buf", ["build", directory, "--as-file-descriptor-set", "-o", image])
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)))
    const plain = registry.getMessage("plain.Hello")
    if (plain === undefined) throw new Error("the plain schema was not built")

    const ours = create(Wire.SupervisorHelloSchema, {
      sandboxId: "s-1",
      instanceId: "i-1",
      holdfast: { connectionEpoch: 3n, resume: true, liveChannelIds: ["c-1"] },
    })
    const theirs = fromBinary(plain, toBinary(Wire.SupervisorHelloSchema, ours), { readUnknownFields: false })
    expect(theirs).toMatchObject({ sandboxId: "s-1", instanceId: "i-1" })
    const echoed = fromBinary(Wire.SupervisorHelloSchema, toBinary(plain, theirs))
    expect(echoed).toMatchObject({ sandboxId: "s-1", instanceId: "i-1" })
    expect(echoed.holdfast).toBeUndefined()
  })

  it("rides on the four session messages with one number", () => {
    for (const schema of [
      Wire.SupervisorHelloSchema,
      Wire.SessionAcceptedSchema,
      Wire.SessionRejectedSchema,
      Wire.RelayOpenSchema,
    ]) {
      expect(numberOf(schema, "holdfast"), schema.typeName).toBe(47001)
    }
  })
})
