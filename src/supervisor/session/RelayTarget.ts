import type { Socket } from "node:net"
import type { RelayTarget } from "../../domain/Sandbox.ts"
import type { RelayOpen } from "../../domain/Session.ts"
import { joinSocket } from "../../wire/RelayBridge.ts"
import { RelayDuplex } from "../../wire/RelayDuplex.ts"
import type { RelayLeg } from "../../wire/RelayLeg.ts"
import { dialLoopback, loopbackTarget } from "../Loopback.ts"
import type { SshServer } from "../ssh/SshServer.ts"
import type { Streams } from "../stream/Streams.ts"

export interface Joined {
  /** What is worth a log line about a relay that ended; never rejects. */
  readonly closed: Promise<Record<string, string | number>>
  readonly abort: (reason: string) => void
  /** Carriers of streams only: asks the client to take its stream elsewhere. */
  readonly move?: () => void
}

/** Something in the sandbox that is ready for the bytes of a relay. */
export interface Target {
  readonly join: (leg: RelayLeg) => Joined
  readonly abandon: () => void
}

/** Dials what a gateway asks for; a text says why it cannot be reached. */
export const dialTarget = async (
  wanted: RelayTarget,
  ssh: SshServer,
  cancelled: AbortSignal,
): Promise<Target | string> => {
  if (wanted.kind === "ssh") return sshTarget(ssh)
  const target = loopbackTarget(wanted.host, wanted.port)
  const socket = typeof target === "string" ? target : await dialLoopback(target, cancelled)
  return typeof socket === "string" ? socket : connected(socket)
}

/** A relay that carries a stream: the target is dialled when a stream begins on it. */
export const carrierTarget = (request: RelayOpen, streams: Streams): Target | string => {
  const admitted = streams.admit(request)
  return typeof admitted === "string" ? admitted : { join: admitted.carry, abandon: () => undefined }
}

const sshTarget = (ssh: SshServer): Target => ({
  abandon: () => undefined,
  join: (leg) => {
    const duplex = new RelayDuplex(leg)
    let reason = ""
    duplex.on("error", (error) => {
      reason = error.message
    })
    const closed = new Promise<Record<string, string | number>>((resolve) => {
      duplex.once("close", () => resolve(reason === "" ? {} : { reason }))
    })
    ssh.inject(duplex)
    return { closed, abort: (why) => void duplex.destroy(new Error(why)) }
  },
})

const connected = (socket: Socket): Target => ({
  abandon: () => void socket.destroy(),
  join: (leg) => {
    const bridge = joinSocket(leg, socket)
    return {
      abort: bridge.abort,
      closed: bridge.closed.then(({ reason, toSocketBytes, toStreamBytes }) => ({
        toSocketBytes,
        toStreamBytes,
        ...(reason === undefined ? {} : { reason }),
      })),
    }
  },
})
