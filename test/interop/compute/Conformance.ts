/**
 * What a gateway needs of a compute driver (wire contract 2.12), as checks that can be pointed at any socket. They
 * run in their order, on one sandbox that the first makes and the last removes.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { Redacted } from "effect"
import type {
  ComputeEvent,
  ComputeReference,
  ComputeRequest,
  ComputeSandbox,
} from "../../../src/domain/Compute.ts"
import { Status, type StatusCode, statusName } from "../../../src/domain/Status.ts"
import { observationOf } from "../../../src/driver/external/Observation.ts"
import * as Calls from "../../../src/wire/compute-v1/Calls.ts"
import * as Methods from "../../../src/wire/compute-v1/Methods.ts"
import type { GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import type { CalledMethod } from "../../../src/wire/Method.ts"

export interface ConformanceOptions {
  readonly socketPath: string
  /** Something that the driver can run; its own default when empty. */
  readonly image?: string
  /** A sandbox token; drivers pass it on unread. */
  readonly token?: string
  /** Deadline of one call, and of one wait. */
  readonly timeoutMs?: number
}

export interface Check {
  readonly title: string
  readonly run: (driver: DriverUnderTest) => Promise<void>
}

/** A connection, the sandbox of this run, and what the watch has told of it. */
export class DriverUnderTest {
  readonly sandbox: ComputeRequest
  readonly reference: ComputeReference
  readonly told: Array<ComputeEvent> = []
  readonly #connection: GrpcConnection
  readonly #timeoutMs: number
  #cancelWatch: () => void = () => undefined

  private constructor(connection: GrpcConnection, options: ConformanceOptions) {
    const id = randomUUID()
    this.#connection = connection
    this.#timeoutMs = options.timeoutMs ?? 60_000
    this.reference = { id, name: `check-${id.slice(0, 8)}` }
    this.sandbox = {
      ...this.reference,
      workspace: "default",
      spec: {
        logLevel: "info",
        environment: { CONFORMANCE: "yes" },
        template: {
          image: options.image ?? "",
          agentSocketPath: "",
          labels: { purpose: "conformance" },
          environment: {},
          resources: { cpuRequest: "", cpuLimit: "", memoryRequest: "", memoryLimit: "" },
          platformConfig: undefined,
          driverConfig: undefined,
        },
        gpu: undefined,
        token: Redacted.make(options.token ?? "no-token"),
        command: ["/bin/sh", "-c", "exec sleep 100000"],
        tty: false,
      },
    }
  }

  static async open(options: ConformanceOptions): Promise<DriverUnderTest> {
    return new DriverUnderTest(await Calls.connect(options.socketPath), options)
  }

  close(): void {
    this.#cancelWatch()
    this.#connection.destroy()
  }

  call<I, O>(method: CalledMethod<I, O>, request: I): Promise<O> {
    return Calls.call(this.#connection, method, request, { timeoutMs: this.#timeoutMs })
  }

  /** The status that a call ends with. */
  async statusOf(call: Promise<unknown>): Promise<StatusCode> {
    try {
      await call
      return Status.OK
    } catch (cause) {
      if (cause instanceof GrpcError) return cause.code
      throw cause
    }
  }

  /** Collects into `told` until the connection closes. */
  startWatch(): void {
    const watch = Calls.watch(this.#connection, Methods.watchSandboxes, undefined)
    this.#cancelWatch = watch.cancel
    const follow = async (): Promise<void> => {
      for (;;) {
        const next = await watch.receive()
        if (next === "end") return
        if (next.message !== undefined) this.told.push(next.message)
      }
    }
    follow().catch(() => undefined)
  }

  get seen(): Promise<ComputeSandbox> {
    return this.call(Methods.getSandbox, this.reference)
  }

  /** Drivers start and stop behind their answers. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + this.#timeoutMs
    while (!(await condition())) {
      assert(performance.now() < deadline, `not within ${this.#timeoutMs} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** Whether the watch has shown the sandbox in that state. */
  showed(state: string): boolean {
    return this.told.some(
      (event) =>
        event._tag === "Sandbox" &&
        event.sandbox.id === this.reference.id &&
        observationOf(event.sandbox).state === state,
    )
  }
}

const oneOf = (code: StatusCode, ...allowed: ReadonlyArray<StatusCode>): void =>
  assert(
    allowed.includes(code),
    `${statusName(code)} is none of ${allowed.map((status) => statusName(status)).join(", ")}`,
  )

const stateOf = async (driver: DriverUnderTest): Promise<string> => observationOf(await driver.seen).state

export const checks: ReadonlyArray<Check> = [
  {
    title: "says its name and version",
    run: async (driver) => {
      const { driverName, driverVersion } = await driver.call(Methods.getCapabilities, undefined)
      assert.notEqual(driverName, "")
      assert.notEqual(driverVersion, "")
    },
  },
  {
    title: "names the listeners that it needs, or leaves the method out",
    run: async (driver) =>
      oneOf(
        await driver.statusOf(driver.call(Methods.getListenerRequirements, undefined)),
        Status.OK,
        Status.UNIMPLEMENTED,
      ),
  },
  {
    title: "makes a workspace twice, or leaves the method out",
    run: async (driver) => {
      for (let time = 0; time < 2; time++)
        oneOf(
          await driver.statusOf(driver.call(Methods.ensureWorkspace, "default")),
          Status.OK,
          Status.UNIMPLEMENTED,
        )
    },
  },
  {
    title: "has no sandbox that was never made",
    run: async (driver) => oneOf(await driver.statusOf(driver.seen), Status.NOT_FOUND),
  },
  {
    title: "deletes what is not there without an error",
    run: async (driver) => {
      const code = await driver.statusOf(
        driver.call(Methods.deleteSandbox, driver.reference).then((deleted) => assert.equal(deleted, false)),
      )
      oneOf(code, Status.OK, Status.NOT_FOUND)
    },
  },
  {
    title: "accepts a plain sandbox before it is made",
    run: (driver) => driver.call(Methods.validateSandbox, driver.sandbox),
  },
  {
    title: "makes a sandbox, shows it by id, in the list and in the watch, and runs it",
    run: async (driver) => {
      driver.startWatch()
      await driver.call(Methods.createSandbox, driver.sandbox)
      const { id, name } = await driver.seen
      assert.deepEqual({ id, name }, driver.reference)
      const listed = await driver.call(Methods.listSandboxes, undefined)
      assert(listed.some((sandbox) => sandbox.id === id))
      await driver.until("the sandbox runs", async () => (await stateOf(driver)) === "running")
      await driver.until("the watch shows it running", () => driver.showed("running"))
      assert.notEqual((await driver.seen).status?.instanceId ?? "", "")
    },
  },
  {
    title: "leaves a sandbox alone that is made again",
    run: async (driver) => {
      const before = (await driver.seen).status?.instanceId
      oneOf(
        await driver.statusOf(driver.call(Methods.createSandbox, driver.sandbox)),
        Status.OK,
        Status.ALREADY_EXISTS,
      )
      assert.equal((await driver.seen).status?.instanceId, before)
    },
  },
  {
    title: "leaves a sandbox alone that is started while it runs",
    run: async (driver) => {
      const before = (await driver.seen).status?.instanceId
      await driver.call(Methods.startSandbox, driver.reference)
      assert.equal((await driver.seen).status?.instanceId, before)
    },
  },
  {
    title: "has stopped a sandbox when it answers, says so in the watch, and stops it twice",
    run: async (driver) => {
      await driver.call(Methods.stopSandbox, driver.reference)
      assert.equal(await stateOf(driver), "suspended")
      await driver.until("the watch shows it stopped", () => driver.showed("suspended"))
      await driver.call(Methods.stopSandbox, driver.reference)
    },
  },
  {
    title: "starts a stopped sandbox",
    run: async (driver) => {
      await driver.call(Methods.startSandbox, driver.reference)
      await driver.until("the sandbox runs", async () => (await stateOf(driver)) === "running")
    },
  },
  {
    title: "deletes a sandbox, says so in the watch, and knows it no more",
    run: async (driver) => {
      assert.equal(await driver.call(Methods.deleteSandbox, driver.reference), true)
      await driver.until(
        "the sandbox is gone",
        async () => (await driver.statusOf(driver.seen)) === Status.NOT_FOUND,
      )
      const listed = await driver.call(Methods.listSandboxes, undefined)
      assert(!listed.some(({ id }) => id === driver.reference.id))
      await driver.until("the watch shows it deleted", () =>
        driver.told.some((event) => event._tag === "Deleted" && event.sandboxId === driver.reference.id),
      )
    },
  },
]

export interface Verdict {
  readonly title: string
  readonly error: unknown
}

/** All checks in their order, whatever they come to; the sandbox is removed. `error` is undefined for those that pass. */
export const conform = async (options: ConformanceOptions): Promise<ReadonlyArray<Verdict>> => {
  const driver = await DriverUnderTest.open(options)
  const verdicts: Array<Verdict> = []
  try {
    for (const { title, run } of checks) {
      const error = await run(driver).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      verdicts.push({ title, error })
    }
    await driver.call(Methods.deleteSandbox, driver.reference).catch(() => undefined)
  } finally {
    driver.close()
  }
  return verdicts
}
