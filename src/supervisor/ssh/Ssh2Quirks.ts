/**
 * What ssh2 1.17 gets wrong on its server side and has no public way around. Each function touches private
 * fields of the library, does nothing when they are not there, and says what happens without it.
 */
import type { Duplex } from "node:stream"
import type { Connection, RejectConnection, ServerChannel, Session } from "ssh2"

/**
 * A write that had to wait for the SSH window leaves its buffer behind after it is done; a later wait of the
 * other stream (standard error) would send that buffer a second time. Call after every finished write.
 */
export const forgetSentChunk = (channel: ServerChannel): void => {
  for (const field of ["_chunk", "_chunkcb", "_chunkErr", "_chunkcbErr"]) {
    if (Reflect.has(channel, field)) Reflect.set(channel, field, undefined)
  }
}

/**
 * A session whose client has sent EOF refuses window changes and signals, although only standard input has
 * ended. Call once per session.
 */
export const keepRequestsAfterEof = (session: Session): void => {
  session.on("eof", () => {
    if (Reflect.has(session, "_ending")) Reflect.set(session, "_ending", false)
  })
}

/** Reason codes of RFC 4254, section 5.1. */
const administrativelyProhibited = 1
const connectFailed = 2

/**
 * `reject()` of a channel always says "connect failed". This one says "administratively prohibited", which
 * tells a user that trying again is of no use.
 */
export const prohibit = (connection: Connection, reject: RejectConnection): void => {
  const protocol: unknown = Reflect.get(connection, "_protocol")
  const fail: unknown =
    typeof protocol === "object" && protocol !== null ? Reflect.get(protocol, "channelOpenFail") : undefined
  if (typeof protocol !== "object" || protocol === null || typeof fail !== "function") {
    reject()
    return
  }
  Reflect.set(protocol, "channelOpenFail", (recipient: unknown, reason: unknown, description: unknown) =>
    Reflect.apply(fail, protocol, [
      recipient,
      reason === connectFailed ? administrativelyProhibited : reason,
      description,
    ]),
  )
  reject()
  Reflect.deleteProperty(protocol, "channelOpenFail")
}

/** The types ask for a TCP socket; any Duplex with an end and a close serves. */
export interface AcceptsDuplex {
  injectSocket(socket: Duplex): void
}

/** The socket beneath a connection, to tie a login deadline on the one to a login on the other. */
export const socketOf = (connection: Connection): object | undefined => {
  const socket: unknown = Reflect.get(connection, "_sock")
  return typeof socket === "object" && socket !== null ? socket : undefined
}
