import { type ChildProcess, spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import http from "node:http"
import net, { type Socket } from "node:net"
import { afterEach, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as FrontDoor from "../../src/local/FrontDoor.ts"
import { until } from "../kit/Until.ts"
import { freePort, listenAnywhere } from "./Ports.ts"

type Handler = (socket: Socket) => void

const greet =
  (name: string): Handler =>
  (socket) =>
    void socket.write(name)

describe("FrontDoor", { timeout: 30_000 }, () => {
  const cleanups: Array<() => Promise<unknown> | unknown> = []
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  })

  const backend = async (name: string, handler: Handler = greet(name)): Promise<FrontDoor.Backend> => {
    const sockets = new Set<Socket>()
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      // The door looks whether a replica accepts, and hangs up.
      socket.on("error", () => undefined)
      handler(socket)
    })
    const port = await listenAnywhere(server)
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    })
    return { name, host: "127.0.0.1", port }
  }

  const open = async (replicas: () => ReadonlyArray<FrontDoor.Backend>): Promise<FrontDoor.FrontDoor> => {
    const scope = await Effect.runPromise(Scope.make())
    cleanups.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    return Effect.runPromise(
      FrontDoor.start({ host: "127.0.0.1", port: 0, replicas: Effect.sync(replicas) }).pipe(
        Scope.extend(scope),
      ),
    )
  }

  const dial = (door: FrontDoor.FrontDoor): Socket => {
    const socket = net.connect({ host: door.host, port: door.port, allowHalfOpen: true })
    cleanups.push(() => socket.destroy())
    return socket.on("error", () => undefined)
  }
  const firstWord = (socket: Socket): Promise<string> =>
    new Promise((resolve, reject) => {
      socket.once("data", (chunk) => resolve(chunk.toString()))
      socket.once("close", () => reject(new Error("closed")))
    })

  it("spreads connections over the replicas, fewest first", async () => {
    const replicas = await Promise.all(["a", "b", "c"].map((name) => backend(name)))
    const door = await open(() => replicas)
    const words = await Promise.all(Array.from({ length: 9 }, () => firstWord(dial(door))))
    expect(words.sort().join("")).toBe("aaabbbccc")
    expect([...door.connections().values()]).toEqual([3, 3, 3])
  })

  it("gives freed places back", async () => {
    const replicas = await Promise.all(
      ["a", "b"].map((name) => backend(name, (socket) => void socket.end(name))),
    )
    const door = await open(() => replicas)
    for (let round = 0; round < 10; round++) {
      const socket = dial(door)
      await firstWord(socket)
      socket.end()
    }
    await until("no connection is left", () => [...door.connections().values()].every((count) => count === 0))
  })

  it("skips a replica that refuses, without failing the caller", async () => {
    const dead = { name: "dead", host: "127.0.0.1", port: await freePort() }
    const alive = await backend("alive")
    const door = await open(() => [dead, alive])
    for (let round = 0; round < 6; round++) expect(await firstWord(dial(door))).toBe("alive")
  })

  it("gives no new connections to a replica that is not ready, and some again once it is", async () => {
    let ready = false
    const probe = http.createServer((_, response) => void response.writeHead(ready ? 200 : 503).end())
    const port = await listenAnywhere(probe)
    cleanups.push(() => new Promise((resolve) => probe.close(resolve)))
    const draining = { ...(await backend("draining")), readyUrl: `http://127.0.0.1:${port}/readyz` }
    const other = await backend("other")
    const door = await open(() => [draining, other])
    const seen = async () =>
      new Set(await Promise.all(Array.from({ length: 4 }, () => firstWord(dial(door)))))
    const eventually = async (expected: ReadonlyArray<string>) => {
      const deadline = performance.now() + 10_000
      while (performance.now() < deadline) {
        if ([...(await seen())].sort().join() === expected.join()) return
      }
      throw new Error("the replicas in use did not change")
    }
    await eventually(["other"])
    ready = true
    await eventually(["draining", "other"])
  })

  it("holds a caller until a replica is there, and lets replicas join", async () => {
    const replicas: Array<FrontDoor.Backend> = []
    const door = await open(() => replicas)
    const word = firstWord(dial(door))
    replicas.push(await backend("late"))
    expect(await word).toBe("late")
  })

  it("lets replicas that are not ready answer when none is: without the database none would be", async () => {
    const probe = http.createServer((_, response) => void response.writeHead(503).end())
    const port = await listenAnywhere(probe)
    cleanups.push(() => new Promise((resolve) => probe.close(resolve)))
    const unready = { ...(await backend("unready")), readyUrl: `http://127.0.0.1:${port}/readyz` }
    const door = await open(() => [unready])
    await Effect.runPromise(door.refresh)
    expect(await firstWord(dial(door))).toBe("unready")
  })

  it("resets a caller when no replica comes in time", async () => {
    const door = await open(() => [])
    await expect(firstWord(dial(door))).rejects.toThrow("closed")
  })

  it("passes a half-close on in each direction while the other goes on", async () => {
    const echo = await backend("echo", (socket) => {
      const hash = createHash("sha256")
      socket.on("data", (chunk) => hash.update(chunk))
      // Answers only after the caller has finished sending.
      socket.on("end", () => void socket.end(hash.digest("hex")))
    })
    const door = await open(() => [echo])
    const body = randomBytes(64 * 1_048_576)
    const socket = dial(door)
    const answer = firstWord(socket)
    socket.end(body)
    expect(await answer).toBe(createHash("sha256").update(body).digest("hex"))
  })

  it("stops reading from a replica whose caller does not read", async () => {
    let written = 0
    const flood = await backend("flood", (socket) => {
      const chunk = Buffer.alloc(65_536)
      const more = () => {
        while (!socket.destroyed) {
          written += chunk.length
          if (!socket.write(chunk)) return
        }
      }
      socket.on("drain", more).once("data", more)
    })
    const door = await open(() => [flood])
    const socket = dial(door)
    socket.write("go")
    await until("bytes are written", () => written > 0)
    // Quiet for a while means that everybody's buffers are full.
    let before = -1
    while (before !== written) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    expect(written).toBeLessThan(64 * 1_048_576)
    // And it goes on when the caller reads again.
    socket.on("data", () => undefined)
    await until("more bytes are written", () => written > before)
  })

  it("cuts the callers of a replica that is killed at once, and serves new ones elsewhere", async () => {
    const script =
      "require('net').createServer({allowHalfOpen:true},s=>{s.on('error',()=>{});s.on('data',()=>{});s.write('mortal')}).listen(0,'127.0.0.1',function(){console.log(this.address().port)})"
    const child: ChildProcess = spawn(process.execPath, ["-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    cleanups.push(() => child.kill("SIGKILL"))
    const port = Number(await new Promise((resolve) => child.stdout?.once("data", resolve)))
    const survivor = await backend("survivor")
    const door = await open(() => [{ name: "mortal", host: "127.0.0.1", port }, survivor])
    const callers = Array.from({ length: 4 }, () => dial(door))
    const words = await Promise.all(callers.map(firstWord))
    const cut = callers.filter((_, index) => words[index] === "mortal")
    expect(cut).toHaveLength(2)
    const ends = cut.map(
      (socket) => new Promise((resolve) => socket.once("end", resolve).once("close", resolve)),
    )
    const exited = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    // Until the last of a dying process is gone its port may still take a connection.
    await Promise.all([...ends, exited])
    for (let round = 0; round < 4; round++) expect(await firstWord(dial(door))).toBe("survivor")
  })

  it("resets the caller when the replica resets", async () => {
    const rude = await backend("rude", (socket) => {
      socket.once("data", () => socket.resetAndDestroy())
    })
    const door = await open(() => [rude])
    const socket = net.connect({ host: door.host, port: door.port, allowHalfOpen: true })
    const error = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve))
    socket.write("hello")
    expect((await error).code).toBe("ECONNRESET")
  })

  it("resets the replica when the caller resets", async () => {
    let code: string | undefined
    const patient = await backend("patient", (socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => {
        code = error.code
      })
      socket.resume().write("go")
    })
    const door = await open(() => [patient])
    const socket = dial(door)
    await firstWord(socket)
    socket.resetAndDestroy()
    await until("the reset comes", () => code !== undefined)
    expect(code).toBe("ECONNRESET")
  })
})
