import { Redacted } from "effect"
import { describe, expect, it } from "vitest"
import type { ComputeStatus } from "../../../src/domain/Compute.ts"
import type { SandboxSpec } from "../../../src/domain/Sandbox.ts"
import { Status } from "../../../src/domain/Status.ts"
import { publicErrorOf } from "../../../src/driver/external/DriverErrors.ts"
import { observationOf } from "../../../src/driver/external/Observation.ts"
import { requestOf } from "../../../src/driver/external/Specification.ts"
import { createSandbox } from "../../../src/wire/compute-v1/Methods.ts"
import { grpcError } from "../../../src/wire/grpc/GrpcError.ts"

const seen = (status: Partial<ComputeStatus>) =>
  observationOf({
    id: "s",
    name: "n",
    workspace: "default",
    status: { instanceId: "i", conditions: [], deleting: false, ...status },
  })

const condition = (type: string, status: string, reason = "", message = "") => ({
  type,
  status,
  reason,
  message,
})

describe("what a compute driver says", () => {
  it("is running while it is ready, on its way, or silent about it", () => {
    expect(seen({ conditions: [condition("Ready", "True")] })).toMatchObject({
      state: "running",
      instanceId: "i",
    })
    expect(seen({}).state).toBe("running")
    expect(seen({ conditions: [condition("Ready", "Unknown", "Whatever")] }).state).toBe("running")
    for (const reason of ["ContainerStarting", "containercreated", "DEPENDENCIESNOTREADY", "InspectFailed"])
      expect(seen({ conditions: [condition("Ready", "False", reason)] }).state).toBe("running")
  })

  it("is failed when it is not ready for a reason that lasts, with the driver's words", () => {
    expect(
      seen({ conditions: [condition("Ready", "False", "ImagePullFailed", "no such image")] }),
    ).toMatchObject({
      state: "failed",
      detail: "ImagePullFailed: no such image",
    })
  })

  it("is suspended whatever else it says, and stopped while it is deleted", () => {
    const stopped = [condition("Ready", "False", "Stopped"), condition("Suspended", "True")]
    expect(seen({ conditions: stopped }).state).toBe("suspended")
    expect(seen({ conditions: [condition("Suspended", "False")] }).state).toBe("running")
    expect(seen({ deleting: true, conditions: stopped }).state).toBe("stopped")
  })

  it("keeps its text where the caller asked for too much, and its name where it is at fault", () => {
    const error = (code: Parameters<typeof grpcError>[0]) => publicErrorOf("vm", grpcError(code, "why"))
    expect(error(Status.FAILED_PRECONDITION)).toMatchObject({ _tag: "FailedPrecondition", message: "why" })
    expect(error(Status.INVALID_ARGUMENT)).toMatchObject({ _tag: "InvalidArgument", message: "why" })
    expect(error(Status.RESOURCE_EXHAUSTED)).toMatchObject({ _tag: "LimitReached", message: "why" })
    expect(error(Status.UNKNOWN)).toMatchObject({
      _tag: "Internal",
      message: "compute driver 'vm': UNKNOWN: why",
    })
    expect(error(Status.UNAVAILABLE)).toMatchObject({
      _tag: "Unavailable",
      message: "compute driver 'vm' is not reachable: why",
    })
    expect(publicErrorOf("vm", new Error("boom"))).toMatchObject({ _tag: "Internal" })
  })
})

describe("what a compute driver is asked for", () => {
  const capabilities = {
    driverName: "vm",
    driverVersion: "1",
    defaultImage: "base:1",
    gatewayManagesLifecycle: true,
  }
  const spec: SandboxSpec = { logLevel: "", environment: {}, providers: [], command: [], tty: false }
  const template = {
    image: "",
    runtimeClassName: "",
    agentSocket: "",
    labels: {},
    annotations: {},
    environment: {},
  }
  const request = (change: Partial<SandboxSpec>) =>
    requestOf(
      { id: "s", name: "n", workspace: "w", token: Redacted.make("jwt"), spec: { ...spec, ...change } },
      capabilities,
    )

  it("is the command that runs and the image that is used", () => {
    expect(request({}).spec).toMatchObject({
      command: ["/bin/bash", "-l"],
      tty: true,
      template: { image: "base:1" },
    })
    expect(request({ command: ["a", "b"], template: { ...template, image: "mine" } }).spec).toMatchObject({
      command: ["a", "b"],
      tty: false,
      template: { image: "mine" },
    })
  })

  it("has resources in fields of their own, and what has no field beside them", () => {
    const resources = { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: 1 } }
    const asked = request({
      template: {
        ...template,
        resources,
        annotations: { a: "b" },
        runtimeClassName: "kata",
        userNamespaces: true,
      },
    }).spec.template
    expect(asked.resources).toEqual({ cpuLimit: "2", memoryLimit: "1Gi", cpuRequest: "1", memoryRequest: "" })
    expect(asked.platformConfig).toEqual({
      resources_raw: resources,
      annotations: { a: "b" },
      runtime_class_name: "kata",
      host_users: false,
    })
    expect(request({}).spec.template.platformConfig).toBeUndefined()
  })

  it("has the driver's own configuration, out of several when there are", () => {
    const config = (driverConfig: unknown) =>
      request({ template: { ...template, driverConfig } }).spec.template.driverConfig
    expect(config({ vm: { size: 2 }, docker: { x: 1 } })).toEqual({ size: 2 })
    expect(config({ size: 2, list: [1, { a: null }] })).toEqual({ size: 2, list: [1, { a: null }] })
    expect(config("no object")).toBeUndefined()
  })

  it("can be written to the wire whatever is in it", () => {
    const whole = request({ gpu: {}, template: { ...template, driverConfig: { a: [1, "x", { b: true }] } } })
    expect(createSandbox.encodeRequest(whole).length).toBeGreaterThan(0)
    expect(JSON.stringify(whole)).not.toContain("jwt")
  })
})
