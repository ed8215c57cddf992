import { limits } from "../../domain/Limits.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"

/** Connections that were opened and may still carry relays; all are cut with the session loop. */
export class Connections {
  readonly #open: GrpcConnection[] = []

  add(connection: GrpcConnection): void {
    this.#open.push(connection)
    void connection.closed.then(() => {
      const at = this.#open.indexOf(connection)
      if (at >= 0) this.#open.splice(at, 1)
    })
  }

  /** The session on it is over: no new calls, running relays may finish while there are few such connections. */
  retire(connection: GrpcConnection): void {
    connection.close()
    while (this.#open.length > limits.supervisorLingering) this.#open.shift()?.destroy()
  }

  destroyAll(): void {
    for (const connection of [...this.#open]) connection.destroy()
  }
}
