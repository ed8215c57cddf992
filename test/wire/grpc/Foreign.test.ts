import { spawn } from "node:child_process"
import { describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import { grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { methodPath } from "../../../src/wire/grpc/Typed.ts"
import { OpenShell, ServiceStatus } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped, streamingHandler, unaryHandler } from "../../kit/Calls.ts"
import { connectTo, startServer } from "./TestServer.ts"

const methods = {
  [methodPath(OpenShell.method.health)]: unaryHandler(OpenShell.method.health, async () => ({
    status: ServiceStatus.HEALTHY,
    version: "0.1.0",
  })),
  [methodPath(OpenShell.method.getSandbox)]: unaryHandler(OpenShell.method.getSandbox, async () => {
    throw grpcError(Status.NOT_FOUND, "sandbox not found")
  }),
  [methodPath(OpenShell.method.execSandboxInteractive)]: streamingHandler(
    OpenShell.method.execSandboxInteractive,
    async ({ call, receive, send }) => {
      call.sendHeaders()
      for (let input = await receive(); input !== undefined; input = await receive()) {
        if (input.payload.case === "stdin") {
          await send({ payload: { case: "stdout", value: { data: input.payload.value } } })
        }
      }
      await send({ payload: { case: "exit", value: { exitCode: 7 } } })
    },
  ),
}

const buf = (url: string, method: string, input: string): Promise<string> =>
  new Promise((resolve) => {
    const child = spawn("node_modules/.bin/buf", [
      ..."curl --schema src/wire/proto --protocol grpc --http2-prior-knowledge -d @-".split(" "),
      `${url}/openshell.v1.OpenShell/${method}`,
    ])
    let output = ""
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.on("close", () => resolve(output.replace(/\s+/g, "")))
    child.stdin.end(input)
  })

describe("a gRPC client of another make", () => {
  it("understands unary answers, errors and both directions of a stream", async () => {
    const { url } = await startServer(methods)
    expect(await buf(url, "Health", "{}")).toBe('{"status":"SERVICE_STATUS_HEALTHY","version":"0.1.0"}')
    expect(await buf(url, "GetSandbox", '{"name":"x"}')).toBe(
      '{"code":"not_found","message":"sandboxnotfound"}',
    )
    expect(await buf(url, "ExecSandboxInteractive", '{"stdin":"aGk="}{"stdin":"eW91"}')).toBe(
      '{"stdout":{"data":"aGk="}}{"stdout":{"data":"eW91"}}{"exit":{"exitCode":7}}',
    )
    expect(await buf(url, "ListSandboxes", "{}")).toContain(
      "unknownmethod/openshell.v1.OpenShell/ListSandboxes",
    )
  }, 60_000)
})

describe("the typed client", () => {
  it("calls a unary method with messages", async () => {
    const connection = await connectTo((await startServer(methods)).url)
    expect(await callUnary(connection, OpenShell.method.health, {})).toMatchObject({ version: "0.1.0" })
    await expect(callUnary(connection, OpenShell.method.getSandbox, { name: "x" })).rejects.toMatchObject({
      code: Status.NOT_FOUND,
      message: "sandbox not found",
    })
  })

  it("streams messages both ways", async () => {
    const connection = await connectTo((await startServer(methods)).url)
    const exec = openTyped(connection, OpenShell.method.execSandboxInteractive)
    await exec.send({ payload: { case: "stdin", value: Buffer.from("hi") } })
    expect((await exec.receive())?.payload).toMatchObject({ case: "stdout" })
    exec.end()
    expect((await exec.receive())?.payload).toMatchObject({ case: "exit", value: { exitCode: 7 } })
    expect(await exec.receive()).toBeUndefined()
  })

  it("is told by INTERNAL that bytes were not the message", async () => {
    const connection = await connectTo((await startServer(methods)).url)
    await expect(
      connection.unary(methodPath(OpenShell.method.getSandbox), Buffer.from([0xff])),
    ).rejects.toMatchObject({
      code: Status.INTERNAL,
      message: "malformed message: not a openshell.v1.GetSandboxRequest",
    })
  })
})
