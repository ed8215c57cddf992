/**
 * The frames of a resumable stream on a carrier. Numbers are big-endian; offsets count payload bytes of one
 * direction from 0, and the end of a direction (FIN) takes the offset after its last byte, as in TCP.
 *
 *   frame:   type u8 | body length u24 | body
 *   HELLO    version u8, mode u8 (0 new, 1 resume), id 16, attach u32, next u64, ack u64, window u32, auth 32,
 *            and for a new stream: kind u8, target (UTF-8, the rest)
 *   WELCOME  version u8, next u64, ack u64, from u64, window u32, resume window u32 (ms)
 *   REFUSE   code u8, reset code u8, text      DATA  offset u64, payload      ACK  offset u64
 *   FIN      offset u64                        RST   code u8, text            PING, PONG, DONE, MOVE  empty
 */
import { limits } from "../domain/Limits.ts"
import { type RefuseCode, type ResetCode, refuseCodes, resetCodes } from "./Outcome.ts"
import { readU64, writeU64 } from "./Uint64.ts"

export const protocolVersion = 1
export const idBytes = 16
export const authBytes = 32

export const streamKinds = ["ssh", "exec", "tcp", "http", "file"] as const
export type StreamKind = (typeof streamKinds)[number]

/** What a client asks of a server when it attaches a carrier. */
export interface HelloFrame {
  readonly type: "hello"
  readonly version: number
  readonly mode: "new" | "resume"
  readonly id: Buffer
  /** Counts the carriers of this stream from 1. */
  readonly attach: number
  /** The offset that the client wants next, and the one up to which it consumed. */
  readonly next: number
  readonly ack: number
  /** Bytes that the client takes beyond what it consumed. */
  readonly window: number
  /** The secret of a new stream; the proof of a resume (`Proof.ts`). */
  readonly auth: Buffer
  readonly kind: StreamKind
  readonly target: string
}

export interface WelcomeFrame {
  readonly type: "welcome"
  readonly version: number
  readonly next: number
  readonly ack: number
  /** Where the server's data begins on this carrier; at or below what the client has received. */
  readonly from: number
  readonly window: number
  readonly resumeWindowMs: number
}

/** Answers to a late resume of a stream that is over; a reset names its code. */
export type EndedCode = "finished" | "reset" | "lost"

export interface RefuseFrame {
  readonly type: "refuse"
  readonly code: RefuseCode | EndedCode
  readonly reset: ResetCode
  readonly text: string
}

export interface DataFrame {
  readonly type: "data"
  readonly offset: number
  readonly bytes: Buffer
}

/** Everything below `offset` was consumed; with the window this is the credit. */
export interface AckFrame {
  readonly type: "ack"
  readonly offset: number
}

export interface FinFrame {
  readonly type: "fin"
  readonly offset: number
}

export interface ResetFrame {
  readonly type: "rst"
  readonly code: ResetCode
  readonly text: string
}

export interface SignalFrame {
  /** `done`: the stream is over for both. `move`: the server's end of this carrier is about to go away. */
  readonly type: "ping" | "pong" | "done" | "move"
}

export type ControlFrame =
  | HelloFrame
  | WelcomeFrame
  | RefuseFrame
  | AckFrame
  | FinFrame
  | ResetFrame
  | SignalFrame
export type Frame = ControlFrame | DataFrame

export const headerBytes = 4
export const offsetBytes = 8

/** Position is the number on the wire. */
const types = [
  "",
  "hello",
  "welcome",
  "refuse",
  "data",
  "ack",
  "fin",
  "rst",
  "ping",
  "pong",
  "done",
  "move",
] as const
const answers: ReadonlyArray<RefuseCode | EndedCode> = [...refuseCodes, "finished", "reset", "lost"]

const helloBytes = 2 + idBytes + 4 + 8 + 8 + 4 + authBytes
const welcomeBytes = 1 + 8 + 8 + 8 + 4 + 4

/** Lengths that a body of each type may have. */
const bodies: { readonly [T in Frame["type"]]: readonly [least: number, most: number] } = {
  hello: [helloBytes, helloBytes + 1 + limits.resumeTargetBytes],
  welcome: [welcomeBytes, welcomeBytes],
  refuse: [2, 2 + limits.resumeTextBytes],
  data: [offsetBytes + 1, offsetBytes + limits.resumeChunkBytes],
  ack: [offsetBytes, offsetBytes],
  fin: [offsetBytes, offsetBytes],
  rst: [1, 1 + limits.resumeTextBytes],
  ping: [0, 0],
  pong: [0, 0],
  done: [0, 0],
  move: [0, 0],
}

/** The type of a frame whose header is valid, with the length of its body. */
export const readHeader = (
  type: number,
  length: number,
): { readonly type: Frame["type"]; readonly length: number } | undefined => {
  const name = types[type]
  if (name === undefined || name === "") return undefined
  const [least, most] = bodies[name]
  return length < least || length > most ? undefined : { type: name, length }
}

const frame = (type: Frame["type"], length: number): Buffer => {
  const buffer = Buffer.allocUnsafe(headerBytes + length)
  buffer[0] = types.indexOf(type)
  buffer.writeUIntBE(length, 1, 3)
  return buffer
}

/** UTF-8 of at most `most` bytes, cut between characters. */
const clip = (text: string, most: number): Buffer => {
  const bytes = Buffer.from(text)
  if (bytes.length <= most) return bytes
  let end = most
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.subarray(0, end)
}

/** Everything of a DATA frame before its payload. */
export const encodeDataHeader = (offset: number, length: number): Buffer => {
  const buffer = Buffer.allocUnsafe(headerBytes + offsetBytes)
  buffer[0] = 4
  buffer.writeUIntBE(offsetBytes + length, 1, 3)
  writeU64(buffer, offset, headerBytes)
  return buffer
}

/** The body of a HELLO up to its proof: what the proof vouches for. */
export const helloClaim = (hello: Omit<HelloFrame, "auth" | "type">): Buffer => {
  const buffer = Buffer.alloc(helloBytes - authBytes)
  buffer[0] = hello.version
  buffer[1] = hello.mode === "new" ? 0 : 1
  hello.id.copy(buffer, 2, 0, idBytes)
  let at = buffer.writeUInt32BE(hello.attach, 2 + idBytes)
  at = writeU64(buffer, hello.next, at)
  at = writeU64(buffer, hello.ack, at)
  buffer.writeUInt32BE(hello.window, at)
  return buffer
}

const encodeHello = (hello: HelloFrame): Buffer => {
  const target = hello.mode === "new" ? Buffer.from(hello.target) : Buffer.alloc(0)
  const rest = hello.mode === "new" ? 1 + target.length : 0
  const buffer = frame("hello", helloBytes + rest)
  helloClaim(hello).copy(buffer, headerBytes)
  hello.auth.copy(buffer, headerBytes + helloBytes - authBytes, 0, authBytes)
  if (rest > 0) {
    buffer[headerBytes + helloBytes] = streamKinds.indexOf(hello.kind)
    target.copy(buffer, headerBytes + helloBytes + 1)
  }
  return buffer
}

const encodeWelcome = (welcome: WelcomeFrame): Buffer => {
  const buffer = frame("welcome", welcomeBytes)
  buffer[headerBytes] = welcome.version
  let at = writeU64(buffer, welcome.next, headerBytes + 1)
  at = writeU64(buffer, welcome.ack, at)
  at = writeU64(buffer, welcome.from, at)
  at = buffer.writeUInt32BE(welcome.window, at)
  buffer.writeUInt32BE(welcome.resumeWindowMs, at)
  return buffer
}

const withText = (type: "refuse" | "rst", codes: ReadonlyArray<number>, text: string): Buffer => {
  const bytes = clip(text, limits.resumeTextBytes)
  const buffer = frame(type, codes.length + bytes.length)
  for (const [index, code] of codes.entries()) buffer[headerBytes + index] = code
  bytes.copy(buffer, headerBytes + codes.length)
  return buffer
}

export const encodeControl = (control: ControlFrame): Buffer => {
  switch (control.type) {
    case "hello":
      return encodeHello(control)
    case "welcome":
      return encodeWelcome(control)
    case "refuse":
      return withText(
        "refuse",
        [answers.indexOf(control.code), resetCodes.indexOf(control.reset)],
        control.text,
      )
    case "rst":
      return withText("rst", [resetCodes.indexOf(control.code)], control.text)
    case "ack":
    case "fin": {
      const buffer = frame(control.type, offsetBytes)
      writeU64(buffer, control.offset, headerBytes)
      return buffer
    }
    default:
      return frame(control.type, 0)
  }
}

const decodeHello = (body: Buffer): HelloFrame | undefined => {
  const mode = body[1] === 0 ? "new" : body[1] === 1 ? "resume" : undefined
  const kind = mode === "new" ? streamKinds[body[helloBytes] ?? streamKinds.length] : "tcp"
  if (mode === undefined || kind === undefined || (mode === "resume" && body.length > helloBytes))
    return undefined
  const id = 2 + idBytes
  return {
    type: "hello",
    version: body[0] ?? 0,
    mode,
    id: Buffer.from(body.subarray(2, id)),
    attach: body.readUInt32BE(id),
    next: readU64(body, id + 4),
    ack: readU64(body, id + 12),
    window: body.readUInt32BE(id + 20),
    auth: Buffer.from(body.subarray(helloBytes - authBytes, helloBytes)),
    kind,
    target: mode === "new" ? body.toString("utf8", helloBytes + 1) : "",
  }
}

/** A whole control frame from its body; undefined when the body is none. */
export const decodeControl = (type: ControlFrame["type"], body: Buffer): ControlFrame | undefined => {
  switch (type) {
    case "hello":
      return decodeHello(body)
    case "welcome":
      return {
        type,
        version: body[0] ?? 0,
        next: readU64(body, 1),
        ack: readU64(body, 9),
        from: readU64(body, 17),
        window: body.readUInt32BE(25),
        resumeWindowMs: body.readUInt32BE(29),
      }
    case "refuse": {
      const code = answers[body[0] ?? answers.length]
      const reset = resetCodes[body[1] ?? resetCodes.length]
      if (code === undefined || reset === undefined) return undefined
      return { type, code, reset, text: body.toString("utf8", 2) }
    }
    case "rst": {
      const code = resetCodes[body[0] ?? resetCodes.length]
      return code === undefined ? undefined : { type, code, text: body.toString("utf8", 1) }
    }
    case "ack":
    case "fin":
      return { type, offset: readU64(body, 0) }
    default:
      return { type }
  }
}
