import { Writable } from "node:stream"
import { Effect, type Scope } from "effect"
import { GatewayClient, type GatewayClientService } from "../../src/client/GatewayClient.ts"
import { GatewayDouble } from "./GatewayDouble.ts"

/** Collects what is written to it. */
export class Collector extends Writable {
  readonly #chunks: Array<Buffer> = []

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(Buffer.from(chunk))
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.bytes.toString("utf8")
  }
}

export interface Pair {
  readonly double: GatewayDouble
  readonly client: GatewayClientService
}

/** A gateway double and a client of it, both gone with the scope. */
export const startPair: Effect.Effect<Pair, never, Scope.Scope> = Effect.gen(function* () {
  const double = yield* Effect.acquireRelease(
    Effect.promise(() => GatewayDouble.start()),
    (running) => Effect.promise(() => running.stop()),
  )
  const client = yield* GatewayClient.make({ endpoint: { url: double.url } })
  return { double, client }
})
