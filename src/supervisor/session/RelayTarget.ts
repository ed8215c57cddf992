import { connect, type Socket } from "node:net"
import { limits } from "../../domain/Limits.ts"
import type { RelayOpen } from "../../wire/OpenShell.ts"
import { joinSocket } from "../../wire/RelayBridge.ts"
import { RelayDuplex } from "../../wire/RelayDuplex.ts"
import type { RelayLeg } from "../../wire/RelayLeg.ts"
import { type LoopbackTarget, loopbackTarget } from "../Loopback.ts"
import type { SshServer } from "../ssh/SshServer.ts"

export interface Joined {
  /** What is worth a log line about a relay that ended; never rejects. */
  readonly closed: Promise<Record<string, string | number>>
  readonly abort: (reason: string) => void
}

/** Something in the sandbox that is ready for the bytes of a relay. */
export interface Target {
  readonly join: (leg: RelayLeg) => Joined
  readonly abandon: () => void
}

/** Dials what a gateway asks for; a text says why it cannot be reached. */
export const dialTarget = async (
  wanted: RelayOpen["target"],
  ssh: SshServer,
  cancelled: AbortSignal,
): Promise<Target | string> => {
  // No target at all means SSH: the first gateways of this wire knew nothing else.
  if (wanted.case !== "tcp") return sshTarget(ssh)
  const target = loopbackTarget(wanted.value.host, wanted.value.port)
  return typeof target === "string" ? target : tcpTarget(target, cancelled)
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

const tcpTarget = (target: LoopbackTarget, cancelled: AbortSignal): Promise<Target | string> =>
  new Promise((resolve) => {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const fail = (reason: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(`cannot reach ${target.host}:${target.port}: ${reason}`)
    }
    const timer = setTimeout(
      () => fail(`no answer in ${limits.supervisorDialTimeoutMs} ms`),
      limits.supervisorDialTimeoutMs,
    )
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message)
    cancelled.addEventListener("abort", () => fail("the relay was cancelled"), { once: true })
    socket.once("error", onError)
    socket.once("connect", () => {
      clearTimeout(timer)
      socket.off("error", onError)
      resolve(connected(socket))
    })
  })

const connected = (socket: Socket): Target => {
  // Until the relay is joined a reset of the target shows in the join, as a socket that is closed.
  socket.on("error", () => undefined)
  return {
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
  }
}
