/** Carriers of the simulation, and the bytes that cross them. */
import { FrameDecoder } from "../../src/stream/FrameDecoder.ts"

export type Side = "client" | "server"
export const sides: ReadonlyArray<Side> = ["client", "server"]
export const other = (side: Side): Side => (side === "client" ? "server" : "client")

/** What direction `from` carries at `offset`. */
export const patternAt = (from: Side, offset: number): number =>
  (offset * 31 + (offset >>> 8) * 17 + (from === "client" ? 3 : 101)) & 0xff

export const pattern = (from: Side, offset: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, index) => patternAt(from, offset + index)))

/** Bytes on their way in one direction of a carrier. */
export interface Flow {
  bytes: Buffer
  readonly decoder: FrameDecoder
  /** The sender closed: after the last byte the receiver sees the end. */
  closed: boolean
}

export interface Wire {
  readonly id: number
  readonly to: { readonly [S in Side]: Flow }
  /** Which ends still hold the carrier; one that closed it may yet see frames that had arrived. */
  readonly holds: { [S in Side]: boolean }
  readonly noticed: { [S in Side]: boolean }
  /** Bytes no longer cross it: it was cut (both ends learn of it), or swallows everything. */
  cut: boolean
  hole: boolean
  /** The server has read its hello. */
  greeted: boolean
}

const flow = (): Flow => ({ bytes: Buffer.alloc(0), decoder: new FrameDecoder(), closed: false })

export const newWire = (id: number): Wire => ({
  id,
  to: { client: flow(), server: flow() },
  holds: { client: true, server: true },
  noticed: { client: false, server: false },
  cut: false,
  hole: false,
  greeted: false,
})
