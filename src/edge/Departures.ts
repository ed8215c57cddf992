/** The connections of a draining replica: who is told to leave, what is waited for, what is cut in the end. */
import { limits } from "../domain/Limits.ts"
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

/** Connections that were told to leave, and when. */
export type Told = WeakMap<OpenConnection, number>

/** Told a moment ago and still busy: on their way. What cannot leave, as a plain relay, is not waited for. */
export const onTheirWay = (connections: ReadonlyArray<OpenConnection>, told: Told, nowMs: number): number =>
  connections.filter(
    (connection) =>
      connection.calls.size > 0 &&
      nowMs - (told.get(connection) ?? Number.NEGATIVE_INFINITY) < limits.drainUnderWayMs,
  ).length

/** Tells idle clients to make their further calls elsewhere, and up to `most` with running calls: how many of those. */
export const sendAway = (
  connections: ReadonlyArray<OpenConnection>,
  told: Told,
  most: number,
  nowMs: number,
): number => {
  let left = most
  for (const connection of connections) {
    if (!told.has(connection) && !carriesSession(connection)) {
      const busy = connection.calls.size > 0
      if (busy && left <= 0) continue
      if (!connection.leave(beginsAgain)) continue
      if (busy) left -= 1
      told.set(connection, nowMs)
    }
    if (told.has(connection))
      for (const call of [...connection.calls]) if (beginsAgain(call)) call.abandon(elsewhere())
  }
  return most - left
}

/** Methods of the calls that are left, each once. */
export const methodsOf = (connections: ReadonlyArray<OpenConnection>): ReadonlyArray<string> => [
  ...new Set(
    connections.flatMap(({ calls }) => [...calls].map(({ path }) => path.slice(path.lastIndexOf("/") + 1))),
  ),
]

export const cut = (connections: ReadonlyArray<OpenConnection>): void => {
  for (const { calls } of connections)
    for (const call of [...calls]) if (call.longCall !== "relay") call.abandon(cutOff())
}
