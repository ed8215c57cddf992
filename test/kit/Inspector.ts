/** What a Node process holds, asked over its inspector: SIGUSR1 opens one on loopback. */
import { setTimeout as pause } from "node:timers/promises"

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly chunk?: string }
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** The part of V8's heap snapshot that is read here: nodes are rows of numbers, the first two their type and name. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: ReadonlyArray<string>
      readonly node_types: ReadonlyArray<ReadonlyArray<string>>
    }
  }
  readonly nodes: ReadonlyArray<number>
  readonly strings: ReadonlyArray<string>
}

/** Node's own port for a process that is told to open its inspector; one process at a time. */
const targets = "http://127.0.0.1:9229/json/list"

const debuggerUrl = async (): Promise<string> => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const found: unknown = await fetch(targets)
      .then((response) => response.json())
      .catch(() => [])
    const first: unknown = Array.isArray(found) ? found[0] : undefined
    if (typeof first === "object" && first !== null && "webSocketDebuggerUrl" in first)
      return String(first.webSocketDebuggerUrl)
    await pause(50)
  }
  throw new Error("the process opened no inspector in 5 s")
}

export class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  readonly #snapshot: Array<string> = []
  #last = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener("message", (event) => {
      const answer: Answer = JSON.parse(String(event.data))
      if (answer.method === "HeapProfiler.addHeapSnapshotChunk")
        this.#snapshot.push(answer.params?.chunk ?? "")
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
    })
  }

  static async open(pid: number): Promise<Inspector> {
    process.kill(pid, "SIGUSR1")
    const socket = new WebSocket(await debuggerUrl())
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve)
      socket.addEventListener("error", reject)
    })
    return new Inspector(socket)
  }

  async #ask(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    this.#last += 1
    const id = this.#last
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve)
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
    this.#waiting.delete(id)
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result ?? {}
  }

  /** Frees what can be freed, finalizers included. */
  async collectGarbage(): Promise<void> {
    await this.#ask("HeapProfiler.enable")
    await this.#ask("HeapProfiler.collectGarbage")
  }

  /** How many objects of these classes live, by the class's name. */
  async count(names: ReadonlyArray<string>): Promise<ReadonlyMap<string, number>> {
    this.#snapshot.length = 0
    await this.#ask("HeapProfiler.takeHeapSnapshot", { reportProgress: false })
    const heap: Snapshot = JSON.parse(this.#snapshot.join(""))
    this.#snapshot.length = 0
    const { node_fields: fields, node_types: types } = heap.snapshot.meta
    const kind = types[0]?.indexOf("object")
    const wanted = new Map(names.map((name) => [heap.strings.indexOf(name), name]))
    const counts = new Map(names.map((name) => [name, 0]))
    for (let at = 0; at < heap.nodes.length; at += fields.length) {
      const name = wanted.get(heap.nodes[at + 1] ?? -1)
      if (name !== undefined && heap.nodes[at] === kind) counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    return counts
  }

  /** The value of an expression, as JSON. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.#ask("Runtime.evaluate", {
      expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value))`,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails !== undefined) throw new Error(`cannot evaluate ${expression}`)
    const value = typeof result === "object" && result !== null && "value" in result ? result.value : "null"
    return JSON.parse(String(value))
  }

  /** Closes the process's inspector too, so that the next process can have the port. */
  async close(): Promise<void> {
    await this.evaluate("(setTimeout(() => process.getBuiltinModule('node:inspector').close(), 10), true)")
    this.#socket.close()
  }
}
