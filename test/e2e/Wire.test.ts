/** A supervisor that knows no extension and a plain client, over three real replicas: statuses, limits, routing. */
import { randomBytes, randomUUID } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import type { GrpcError } from "../../src/wire/grpc/GrpcError.ts"
import { encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import { OpenShell, RelayFrameSchema, SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { type CarrierRequest, openCarrier } from "../kit/Streams.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"
import { until } from "../kit/Until.ts"

let cluster: TestCluster
let target: EchoServer
beforeAll(async () => {
  cluster = await TestCluster.start({
    withoutSupervisors: true,
    environment: () => ({ HOLDFAST_SESSION_GRACE_MS: "3000" }),
  })
  target = await echoServer()
}, 90_000)
afterAll(async () => {
  target?.close()
  await cluster?.stop()
}, 60_000)

const refusal = async (call: Promise<unknown>): Promise<readonly [code: number, message: string]> => {
  try {
    await call
  } catch (error) {
    const { code, message } = error as GrpcError
    return [code, message]
  }
  throw new Error("was not refused")
}

let counter = 0
/** A sandbox whose supervisor the test plays, attached through a replica of its choice. */
const sandbox = async (
  holder = "replica-2",
  options: Partial<ConstructorParameters<typeof SupervisorDouble>[0]> = {},
) => {
  counter += 1
  const created = await cluster.create(`wire-${counter}`)
  const id = created.metadata?.id ?? ""
  const double = new SupervisorDouble({
    url: cluster.replica(holder).url,
    sandboxId: id,
    token: await cluster.token(id),
    ...options,
  })
  onTestFinished(() => double.vanish())
  await double.attach()
  return { id, name: `wire-${counter}`, double }
}

describe("sessions", () => {
  it("make the sandbox Ready, seen through every replica", async () => {
    const { name } = await sandbox()
    for (const via of cluster.names) expect(await cluster.phase(name, via)).toBe(SandboxPhase.READY)
  })

  it("are located by any replica at the replica that holds the socket", async () => {
    const { id, double } = await sandbox("replica-3")
    for (const via of cluster.names) {
      const located = await cluster.locate(id, via)
      expect(located.sessionHolder).toBe("replica-3")
      expect(located.sessionId).toBe(double.sessionId)
      expect(located.answeredBy).toBe(via)
    }
  })

  it("supersede an older session of the same instance wherever it is, which then ends without an error", async () => {
    const { id, double } = await sandbox("replica-1")
    const { ended } = double
    const again = new SupervisorDouble({
      url: cluster.replica("replica-3").url,
      sandboxId: id,
      token: await cluster.token(id),
      instanceId: double.instanceId,
    })
    onTestFinished(() => again.vanish())
    await again.attach()
    expect(await ended).toBeUndefined()
    expect((await cluster.locate(id)).sessionHolder).toBe("replica-3")
  })

  it("cannot be evicted by an instance that was replaced before", async () => {
    const { id, double } = await sandbox("replica-1")
    const newer = new SupervisorDouble({
      url: cluster.replica("replica-2").url,
      sandboxId: id,
      token: await cluster.token(id),
    })
    onTestFinished(() => newer.vanish())
    await newer.attach()
    await expect(double.attach()).rejects.toThrow(/rejected: a newer instance/)
    expect((await cluster.locate(id)).sessionId).toBe(newer.sessionId)
  })

  it("that are lost keep the sandbox Ready for the grace period, then it is Provisioning", async () => {
    const { name, double } = await sandbox()
    double.vanish()
    await until("the loss is stored", async () => {
      const { sandbox: row } = await callUnary(
        await cluster.connection("replica-1"),
        OpenShell.method.getSandbox,
        { name },
      )
      const condition = row?.status?.conditions.find(({ type }) => type === "SessionConnected")
      return condition?.status === "False" && row?.status?.phase === SandboxPhase.READY
    })
    await until(
      "the grace period is over",
      async () => (await cluster.phase(name)) === SandboxPhase.PROVISIONING,
    )
  })

  it("refuse a wrong first message, an empty stream and another sandbox's id", async () => {
    const { id } = await sandbox()
    const other = await sandbox()
    const connection = await GrpcConnection.connect({
      url: cluster.replica("replica-1").url,
      headers: () => ({ authorization: `Bearer ${token}` }),
    })
    const token = await cluster.token(id)
    onTestFinished(() => connection.destroy())
    const start = () => openTyped(connection, OpenShell.method.connectSupervisor)

    const heartbeat = start()
    await heartbeat.send({ payload: { case: "heartbeat", value: {} } })
    expect(await refusal(heartbeat.receive())).toEqual([Status.INVALID_ARGUMENT, "expected SupervisorHello"])

    const empty = start()
    empty.end()
    expect(await refusal(empty.receive())).toEqual([Status.INVALID_ARGUMENT, "stream closed before hello"])

    const nameless = start()
    await nameless.send({ payload: { case: "hello", value: { sandboxId: "", instanceId: "i" } } })
    expect(await refusal(nameless.receive())).toEqual([Status.INVALID_ARGUMENT, "sandbox_id is required"])

    const foreign = start()
    await foreign.send({ payload: { case: "hello", value: { sandboxId: other.id, instanceId: "i" } } })
    expect((await refusal(foreign.receive()))[0]).toBe(Status.PERMISSION_DENIED)
  })
})

describe("watches", () => {
  it("tell through every replica what the others write: status, lines and events", async () => {
    const { id, name } = await sandbox("replica-3")
    const watches = await Promise.all(
      cluster.names.map(async (via) => {
        const watch = openTyped(await cluster.connection(via), OpenShell.method.watchSandbox)
        onTestFinished(() => watch.cancel())
        await watch.send({ id, followStatus: true, followLogs: true, followEvents: true })
        watch.end()
        const seen = new Set<string>()
        const reading = (async () => {
          for (let event = await watch.receive(); event !== undefined; event = await watch.receive()) {
            const { payload } = event
            if (payload.case === "sandbox") seen.add(`phase ${payload.value.status?.phase}`)
            if (payload.case === "log") seen.add(`${payload.value.source}: ${payload.value.message}`)
            if (payload.case === "event") seen.add(`event ${payload.value.reason}`)
          }
        })()
        return { via, seen, reading }
      }),
    )
    const push = openTyped(await cluster.connection("replica-1"), OpenShell.method.pushSandboxLogs, {
      metadata: { authorization: `Bearer ${await cluster.token(id)}` },
    })
    await push.send({ sandboxId: id, logs: [{ message: "from inside", level: "INFO", source: "gateway" }] })
    push.end()
    while ((await push.receive()) !== undefined) {}
    await callUnary(await cluster.connection("replica-2"), OpenShell.method.stopSandbox, { name })
    for (const { via, seen } of watches)
      await until(`${via} has told everything`, async () =>
        [
          "sandbox: from inside",
          "event Stopping",
          "gateway: Stopping the sandbox",
          `phase ${SandboxPhase.STOPPED}`,
        ].every((word) => seen.has(word)),
      )
    await callUnary(await cluster.connection("replica-1"), OpenShell.method.deleteSandbox, { name })
    for (const { reading } of watches) await reading
  })
})

describe("forwards", () => {
  it("reach the sandbox from every replica, wherever session and owner are", async () => {
    for (const holder of cluster.names) {
      const { id } = await sandbox(holder)
      for (const via of cluster.names) {
        const connection = await cluster.connection(via)
        const stream = await openForward(connection, {
          sandboxId: id,
          token: await sshToken(connection, id),
          port: target.port,
        })
        const payload = randomBytes(200_000)
        expect((await echo(stream, payload)).equals(payload)).toBe(true)
        stream.end()
      }
    }
  })

  it("are limited to three per token and twenty per sandbox, counted exactly across replicas", async () => {
    const { id } = await sandbox()
    const connections = await Promise.all(cluster.names.map((name) => cluster.connection(name)))
    const at = (index: number) => connections[index % connections.length] ?? connections[0]
    const first = at(0)
    if (first === undefined) throw new Error("no replica")
    const tokens = await Promise.all(Array.from({ length: 7 }, () => sshToken(first, id)))
    const open = (index: number, token: string) => {
      const connection = at(index)
      if (connection === undefined) throw new Error("no replica")
      return openForward(connection, { sandboxId: id, token, port: target.port })
    }
    // Six tokens with three connections each, asked for at the same time through all replicas.
    const wanted = tokens.slice(0, 6).flatMap((token) => Array.from({ length: 4 }, () => token))
    const results = await Promise.allSettled(wanted.map((token, index) => open(index, token)))
    const opened = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))
    expect(opened).toHaveLength(18)
    for (const result of results)
      if (result.status === "rejected")
        expect(result.reason).toMatchObject({
          code: Status.RESOURCE_EXHAUSTED,
          message: "SSH session connection limit reached",
        })
    const last = tokens[6] ?? ""
    const more = [await open(0, last), await open(1, last)]
    expect(await refusal(open(2, last))).toEqual([
      Status.RESOURCE_EXHAUSTED,
      "sandbox SSH connection limit reached",
    ])
    for (const stream of [...opened, ...more]) stream.destroy()
    // Every slot comes back.
    await until("the slots are free again", async () => {
      const stream = await open(0, tokens[0] ?? "")
      stream.destroy()
      return true
    })
  }, 60_000)

  it("are refused with the wire's statuses and texts", async () => {
    const { id } = await sandbox()
    const connection = await cluster.connection("replica-1")
    const token = await sshToken(connection, id)
    const forward = (over: Partial<Parameters<typeof openForward>[1]>) =>
      refusal(openForward(connection, { sandboxId: id, token, port: target.port, ...over }))
    expect(await forward({ port: 0 })).toEqual([
      Status.INVALID_ARGUMENT,
      "tcp target port must be between 1 and 65535",
    ])
    expect(await forward({ port: 70_000 })).toEqual([
      Status.INVALID_ARGUMENT,
      "tcp target port must be between 1 and 65535",
    ])
    expect(await forward({ host: "10.0.0.1" })).toEqual([
      Status.INVALID_ARGUMENT,
      "tcp target host must be loopback",
    ])
    expect(await forward({ sandboxId: "" })).toEqual([Status.INVALID_ARGUMENT, "sandbox_id is required"])
    expect(await forward({ sandboxId: randomUUID() })).toEqual([Status.NOT_FOUND, "sandbox not found"])
    expect(await forward({ token: "" })).toEqual([
      Status.UNAUTHENTICATED,
      "authorization_token is required for ForwardTcp",
    ])
    expect(await forward({ token: randomUUID() })).toEqual([
      Status.UNAUTHENTICATED,
      "SSH session token not found",
    ])
    const other = await sandbox()
    const foreign = await sshToken(connection, other.id)
    expect(await forward({ token: foreign })).toEqual([
      Status.UNAUTHENTICATED,
      "SSH session token is not valid",
    ])
  })

  it("of a refused target say what the supervisor said, and leave the connection's other streams alone", async () => {
    const { id } = await sandbox("replica-2", {
      onRelayOpen: (open) =>
        open.target.case === "tcp" && open.target.value.port === 1
          ? { refuse: "connection refused" }
          : "dial",
    })
    const connection = await cluster.connection("replica-3")
    const token = await sshToken(connection, id)
    const good = await openForward(connection, { sandboxId: id, token, port: target.port })
    expect(await refusal(openForward(connection, { sandboxId: id, token, port: 1 }))).toEqual([
      Status.UNAVAILABLE,
      "supervisor relay failed: connection refused",
    ])
    const payload = randomBytes(1_000)
    expect((await echo(good, payload)).equals(payload)).toBe(true)
    good.destroy()
  })

  it("of a supervisor that never opens the relay end with a status", async () => {
    const { id } = await sandbox("replica-2", { onRelayOpen: () => "ignore" })
    const connection = await cluster.connection("replica-1")
    const token = await sshToken(connection, id)
    expect(await refusal(openForward(connection, { sandboxId: id, token, port: target.port }))).toEqual([
      Status.DEADLINE_EXCEEDED,
      "relay open timed out",
    ])
  }, 30_000)

  it("are cut on every replica when their token is revoked, and the token opens nothing more", async () => {
    const { id } = await sandbox("replica-2")
    const connection = await cluster.connection("replica-1")
    const token = await sshToken(connection, id)
    const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
    await echo(stream, randomBytes(100))
    const closed = new Promise((resolve) => stream.once("close", resolve))
    stream.on("error", () => {})
    const revoked = await callUnary(
      await cluster.connection("replica-3"),
      OpenShell.method.revokeSshSession,
      {
        token,
      },
    )
    expect(revoked.revoked).toBe(true)
    await closed
    expect(await refusal(openForward(connection, { sandboxId: id, token, port: target.port }))).toEqual([
      Status.UNAUTHENTICATED,
      "SSH session token is not valid",
    ])
  })

  it("of a client that vanishes free the connection inside the sandbox", async () => {
    const { id } = await sandbox("replica-2")
    const own = await GrpcConnection.connect({ url: cluster.replica("replica-1").url })
    const before = target.connections()
    const stream = await openForward(own, {
      sandboxId: id,
      token: await sshToken(own, id),
      port: target.port,
    })
    stream.on("error", () => {})
    await echo(stream, randomBytes(10))
    expect(target.connections()).toBe(before + 1)
    own.destroy()
    await until("the target's connection is gone", async () => target.connections() === before)
  })

  it("wait for a session that is away and are served when it returns", async () => {
    const { id, double } = await sandbox("replica-1")
    const connection = await cluster.connection("replica-3")
    const token = await sshToken(connection, id)
    double.vanish()
    const opening = openForward(connection, { sandboxId: id, token, port: target.port })
    await new Promise((resolve) => setTimeout(resolve, 500))
    await double.attach(cluster.replica("replica-2").url)
    const stream = await opening
    const payload = randomBytes(64)
    expect((await echo(stream, payload)).equals(payload)).toBe(true)
    stream.destroy()
  })
})

describe("relays that a client wants as carriers of a stream", () => {
  it("are carriers of a stream that ends at the edge, and never runs a command", async () => {
    const { id } = await sandbox()
    const connection = await cluster.connection("replica-1")
    const token = await sshToken(connection, id)
    const key = randomBytes(32)
    const open = (over: Partial<CarrierRequest>) =>
      openCarrier(connection, { sandboxId: id, token, kind: "tcp", port: target.port, key, ...over })
    const { duplex, stream } = await open({})
    expect(stream).toBe(true)
    duplex.destroy()
    const exec = open({ kind: "exec", token: "", key: randomBytes(32) })
    expect(await refusal(exec)).toEqual([
      Status.FAILED_PRECONDITION,
      "the supervisor of this sandbox runs no commands over a stream; use ExecSandbox",
    ])
  })

  it("need a whole key, and a token for all but commands", async () => {
    const { id } = await sandbox()
    const connection = await cluster.connection("replica-1")
    const carrier = { sandboxId: id, token: "", kind: "tcp", port: target.port } as const
    expect(await refusal(openCarrier(connection, { ...carrier, key: Buffer.alloc(16) }))).toEqual([
      Status.INVALID_ARGUMENT,
      "the key of a stream has 32 bytes",
    ])
    expect(await refusal(openCarrier(connection, { ...carrier, key: Buffer.alloc(32) }))).toEqual([
      Status.UNAUTHENTICATED,
      "authorization_token is required for ForwardTcp",
    ])
  })
})

describe("relay streams", () => {
  it("of an unknown channel, of none and of another sandbox are refused", async () => {
    const { id } = await sandbox()
    const token = await cluster.token(id)
    const connection = await GrpcConnection.connect({
      url: cluster.replica("replica-1").url,
      headers: () => ({ authorization: `Bearer ${token}` }),
    })
    onTestFinished(() => connection.destroy())
    const claim = async (channelId: string) => {
      const call = connection.open(methodPath(OpenShell.method.relayStream))
      await call.write(encodeMessage(RelayFrameSchema, { payload: { case: "init", value: { channelId } } }))
      const error = await call.status
      return [error?.code, error?.message]
    }
    expect(await claim(randomUUID())).toEqual([Status.NOT_FOUND, "unknown or expired relay channel"])
    expect(await claim("")).toEqual([
      Status.INVALID_ARGUMENT,
      "first RelayFrame must be init with non-empty channel_id",
    ])
    const empty = connection.open(methodPath(OpenShell.method.relayStream))
    empty.end()
    expect((await empty.status)?.message).toBe("empty RelayStream")

    const victim = await sandbox("replica-1", { onRelayOpen: () => "ignore" })
    const client = await cluster.connection("replica-1")
    const opening = refusal(
      openForward(client, {
        sandboxId: victim.id,
        token: await sshToken(client, victim.id),
        port: target.port,
      }),
    )
    await until("the relay is asked for", async () => victim.double.opens.length > 0)
    const channel = victim.double.opens[0]?.channelId ?? ""
    expect((await claim(channel))[0]).toBe(Status.PERMISSION_DENIED)
    await opening
  }, 30_000)
})

describe("callers", () => {
  it("without a sandbox token may not speak as a sandbox, nor a sandbox as a user", async () => {
    const user = await cluster.connection("replica-1")
    expect(await refusal(callUnary(user, OpenShell.method.refreshSandboxToken, {}))).toEqual([
      Status.PERMISSION_DENIED,
      "this method requires a sandbox principal",
    ])
    const { id } = await sandbox()
    const token = await cluster.token(id)
    const asSandbox = { metadata: { authorization: `Bearer ${token}` } }
    expect(await refusal(callUnary(user, OpenShell.method.listSandboxes, {}, asSandbox))).toEqual([
      Status.PERMISSION_DENIED,
      "sandbox principals may not call this method",
    ])
    const refreshed = await callUnary(user, OpenShell.method.refreshSandboxToken, {}, asSandbox)
    expect(refreshed.token.split(".")).toHaveLength(3)
  })

  it("with a forged, foreign or malformed token are refused", async () => {
    const user = await cluster.connection("replica-1")
    const { id } = await sandbox()
    const token = await cluster.token(id)
    const [header, body] = token.split(".")
    const call = (authorization: string) =>
      refusal(callUnary(user, OpenShell.method.refreshSandboxToken, {}, { metadata: { authorization } }))
    expect(await call("Bearer nonsense")).toEqual([Status.UNAUTHENTICATED, "invalid token: missing kid"])
    expect(await call(`Bearer ${header}.${body}.${"A".repeat(86)}`)).toEqual([
      Status.UNAUTHENTICATED,
      "invalid token: InvalidSignature",
    ])
    const alien = Buffer.from(JSON.stringify({ alg: "EdDSA", kid: "0".repeat(32) })).toString("base64url")
    expect(await call(`Bearer ${alien}.${body}.${"A".repeat(86)}`)).toEqual([
      Status.UNAUTHENTICATED,
      "invalid token: unknown signing key",
    ])
  })
})

describe("methods", () => {
  it("that this gateway does not have are UNIMPLEMENTED by name", async () => {
    const connection = await cluster.connection("replica-1")
    const [code, message] = await refusal(
      connection.unary("/openshell.v1.OpenShell/MakeCoffee", new Uint8Array()),
    )
    expect(code).toBe(Status.UNIMPLEMENTED)
    expect(message).toContain("MakeCoffee")
  })

  it("refuse names that break the rules, and names that are taken", async () => {
    const create = (name: string) => refusal(cluster.create(name))
    expect((await create("Upper"))[0]).toBe(Status.INVALID_ARGUMENT)
    expect((await create("two--dashes"))[0]).toBe(Status.INVALID_ARGUMENT)
    expect((await create("a-name-of-twenty-one"))[0]).toBe(Status.INVALID_ARGUMENT)
    const { name } = await sandbox()
    expect(await create(name)).toEqual([Status.ALREADY_EXISTS, `sandbox '${name}' already exists`])
  })
})
