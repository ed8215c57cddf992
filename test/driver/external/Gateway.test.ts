/** A gateway whose sandboxes another program runs: with it, without it, and after it came back. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import { Driver } from "../../../src/driver/Driver.ts"
import * as ExternalDriver from "../../../src/driver/ExternalDriver.ts"
import { endTree } from "../../../src/driver/ProcessTree.ts"
import * as Calls from "../../../src/wire/compute-v1/Calls.ts"
import { stopSandbox } from "../../../src/wire/compute-v1/Methods.ts"
import { createGrpcServer } from "../../../src/wire/grpc/GrpcServer.ts"
import { OpenShell, SandboxPhase } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped } from "../../kit/Calls.ts"
import { TestCluster } from "../../kit/Cluster.ts"
import { DriverProcess } from "../../kit/compute/DriverProcess.ts"
import { refusal, refusedImage } from "../../kit/compute/Service.ts"
import { sh } from "../../kit/Exec.ts"
import { until } from "../../kit/Until.ts"

const { method } = OpenShell

let directory = ""
let socketPath = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-external-"))
  socketPath = join(directory, "driver.sock")
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("a gateway with a driver in another process", () => {
  let cluster: TestCluster
  let program: DriverProcess
  beforeAll(async () => {
    const config = join(directory, "holdfast.toml")
    writeFileSync(config, `[holdfast]\ndriver = "external"\ndriver_socket = "${socketPath}"\n`)
    cluster = await TestCluster.start({
      replicas: 1,
      database: "sqlite",
      // Empty is as good as not set, so that the file speaks.
      environment: () => ({ HOLDFAST_DRIVER: "", HOLDFAST_CONFIG: config }),
    })
    program = new DriverProcess({
      socketPath,
      // The cluster of the test ends what runs in its directory.
      stateDir: cluster.stateDir,
      endpoint: cluster.replica("replica-1").url,
    })
  }, 60_000)
  afterAll(async () => {
    await program?.kill()
    await cluster?.stop()
  }, 60_000)

  const gateway = () => cluster.connection("replica-1")
  const run = async (id: string, script: string) => (await sh(await gateway(), id, script)).stdout.toString()
  const stop = async (name: string) => callUnary(await gateway(), method.stopSandbox, { name })
  const start = async (name: string) => callUnary(await gateway(), method.startSandbox, { name })

  it("starts without it, and refuses to make sandboxes until it is there", async () => {
    await expect(cluster.create("early")).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining("compute driver 'external' is not reachable"),
    })
    await program.start()
    const { metadata } = await cluster.create("early")
    await cluster.ready("early")
    expect(await run(metadata?.id ?? "", "echo $OPENSHELL_SANDBOX")).toBe("early\n")
    const info = await callUnary(await gateway(), method.getGatewayInfo, {})
    expect(info.computeDrivers).toMatchObject([
      { capabilities: { driverName: "test-processes", driverVersion: "1.2.3" } },
    ])
  })

  it("shows the driver's refusal to who asked for the sandbox, and keeps nothing of it", async () => {
    await expect(cluster.create("refused", { template: { image: refusedImage } })).rejects.toMatchObject({
      code: Status.FAILED_PRECONDITION,
      message: refusal,
    })
    await expect(cluster.phase("refused")).rejects.toMatchObject({ code: Status.NOT_FOUND })
  })

  it("stops and starts a sandbox through a driver that is killed and comes back meanwhile", async () => {
    const id = (await cluster.create("twice")).metadata?.id ?? ""
    await cluster.ready("twice")
    expect(await run(id, "echo kept > kept; echo made")).toBe("made\n")
    await program.kill()
    expect(await run(id, "echo without")).toBe("without\n")
    const stopped = stop("twice")
    await program.start()
    expect((await stopped).sandbox?.status?.phase).toBe(SandboxPhase.STOPPED)
    await program.kill()
    await program.start()
    await start("twice")
    await cluster.ready("twice")
    expect(await run(id, "cat kept")).toBe("kept\n")
  }, 60_000)

  it("tells what the driver tells of a sandbox", async () => {
    const reasons = async (id: string): Promise<ReadonlyArray<string>> => {
      const watch = openTyped(await gateway(), method.watchSandbox, { timeoutMs: 500 })
      await watch.send({ id, followEvents: true, eventTail: 50 })
      watch.end()
      const found: Array<string> = []
      try {
        for (;;) {
          const event = await watch.receive()
          if (event === undefined) break
          if (event.payload.case === "event") found.push(event.payload.value.reason)
        }
      } catch {
        // The deadline is how this watch ends.
      }
      return found
    }
    // What a driver says between two watches is lost, and the one before was cut when the driver was killed.
    let made = 0
    await until("the driver's event is told", async () => {
      made += 1
      const id = (await cluster.create(`told-${made}`)).metadata?.id ?? ""
      await cluster.ready(`told-${made}`)
      return (await reasons(id)).includes("ContainerCreated")
    })
  })

  it("stops a sandbox that was stopped at the driver", async () => {
    const id = (await cluster.create("behind")).metadata?.id ?? ""
    await cluster.ready("behind")
    const connection = await Calls.connect(socketPath)
    await Calls.call(connection, stopSandbox, { id, name: "behind" }, { timeoutMs: 10_000 })
    connection.destroy()
    await until(
      "the sandbox is stopped",
      async () => (await cluster.phase("behind")) === SandboxPhase.STOPPED,
      30_000,
    )
    await start("behind")
    await cluster.ready("behind")
  })

  it("fails a sandbox that the driver gives up, before anybody asks", async () => {
    const id = (await cluster.create("given-up")).metadata?.id ?? ""
    await cluster.ready("given-up")
    await Effect.runPromise(endTree(id, undefined, 0))
    await until(
      "the sandbox has failed",
      async () => (await cluster.phase("given-up")) === SandboxPhase.ERROR,
      30_000,
    )
  })

  it("deletes a sandbox at the driver", async () => {
    const { metadata } =
      (await callUnary(await gateway(), method.getSandbox, { name: "early" })).sandbox ?? {}
    const { deleted } = await callUnary(await gateway(), method.deleteSandbox, { name: "early" })
    expect(deleted).toBe(true)
    await expect(cluster.phase("early")).rejects.toMatchObject({ code: Status.NOT_FOUND })
    const listed = await Effect.runPromise(
      Effect.flatMap(Driver, (driver) => driver.list).pipe(
        Effect.provide(ExternalDriver.layer({ name: "external", socketPath })),
      ),
    )
    expect(listed.length).toBeGreaterThan(0)
    expect(listed.map(({ id }) => id)).not.toContain(metadata?.id)
  })
})

describe("a socket without a driver", () => {
  const list = () =>
    Effect.runPromise(
      Effect.flip(Effect.flatMap(Driver, (driver) => driver.list)).pipe(
        Effect.provide(
          ExternalDriver.layer({ name: "vm", socketPath: join(directory, "other.sock"), reconnectMs: 300 }),
        ),
      ),
    )

  it("is refused when a program of another contract serves it", async () => {
    const server = createGrpcServer({ router: () => undefined })
    const listener = net.createServer((socket) => server.attach(socket))
    await new Promise<void>((resolve) => listener.listen(join(directory, "other.sock"), resolve))
    const error = await list()
    expect(error._tag).toBe("FailedPrecondition")
    expect(error.message).toContain("does not serve openshell.compute.v1.ComputeDriver")
    await server.close(0)
    await new Promise((resolve) => listener.close(resolve))
  })

  it("keeps nobody waiting for the attempts of others when its program is silent", async () => {
    const silent = net.createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(join(directory, "silent.sock"), resolve))
    const connections = new Set<net.Socket>()
    silent.on("connection", (socket) => connections.add(socket.on("close", () => connections.delete(socket))))
    const errors = await Effect.runPromise(
      Effect.flatMap(Driver, (driver) =>
        Effect.all(
          Array.from({ length: 50 }, () => Effect.flip(driver.list)),
          { concurrency: "unbounded" },
        ),
      ).pipe(
        // Fifty attempts one after another would take a hundred seconds.
        Effect.timeout(20_000),
        Effect.provide(
          ExternalDriver.layer({
            name: "vm",
            socketPath: join(directory, "silent.sock"),
            reconnectMs: 300,
          }),
        ),
      ),
    )
    expect(new Set(errors.map(({ _tag }) => _tag))).toEqual(new Set(["Unavailable"]))
    expect(errors[0]?.message).toContain("no answer in 2000 ms")
    for (const socket of connections) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
  })

  it("is refused with its path when nothing serves it", async () => {
    const error = await list()
    expect(error._tag).toBe("Unavailable")
    expect(error.message).toContain("compute driver 'vm' is not reachable: cannot connect to")
    expect(error.message).toContain("other.sock")
  })
})
