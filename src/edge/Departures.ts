/** The connections of a draining replica: who is told to leave, what is waited for, what is cut in the end. */
import { Status } from "../domain/Status.ts"
import { grpcError } from "../wire/grpc/GrpcError.ts"
import type { OpenConnection, RunningCall } from "../wire/grpc/GrpcServer.ts"

/** A supervisor claims relays on the connection of its session: GOAWAY there would fail them. */
const carriesSession = ({ calls }: OpenConnection): boolean =>
  [...calls].some(({ longCall }) => longCall === "session" || longCall === "relay")

/** Calls that never end by themselves and whose callers begin again where they were. */
const beginsAgain = ({ longCall, metadata }: RunningCall): boolean =>
  longCall === "log-push" || (longCall === "watch" && /^holdfast\b/.test(metadata["user-agent"] ?? ""))

const elsewhere = () =>
  grpcError(Status.UNAVAILABLE, "this replica is being drained; the call can go on at another")

const cutOff = () =>
  grpcError(Status.UNAVAILABLE, "this replica was drained and this call had not ended by the deadline")

/**
 * Connections of clients that use them; idle ones hold up nothing. Between two calls one is not idle: ended then,
 * it could meet the second.
 */
export const busyClients = (connections: ReadonlyArray<OpenConnection>): number =>
  connections.filter((connection) => connection.active && !carriesSession(connection)).length

/** Connections that were told to leave. */
export type Told = WeakSet<OpenConnection>

/** Tells up to `most` clients with running calls, and all idle ones, to make their further calls elsewhere. */
export const sendAway = (connections: ReadonlyArray<OpenConnection>, told: Told, most: number): void => {
  let left = most
  for (const connection of connections) {
    if (!told.has(connection) && !carriesSession(connection)) {
      const busy = connection.calls.size > 0
      if (busy && left === 0) continue
      if (!connection.leave(beginsAgain)) continue
      if (busy) left -= 1
      told.add(connection)
    }
    if (told.has(connection))
      for (const call of [...connection.calls]) if (beginsAgain(call)) call.abandon(elsewhere())
  }
}

export const cut = (connections: ReadonlyArray<OpenConnection>): void => {
  for (const { calls } of connections)
    for (const call of [...calls]) if (call.longCall !== "relay") call.abandon(cutOff())
}
