import * as Data from "effect/Data"
import { Status, type StatusCode } from "../../domain/Status.ts"

/** A call's failure as it appears on the wire: the status code and the text of `grpc-message`. */
export class GrpcError extends Data.TaggedError("GrpcError")<{
  readonly code: StatusCode
  readonly message: string
}> {}

/** Shorthand for the many places that build one. */
export const grpcError = (code: StatusCode, message: string): GrpcError => new GrpcError({ code, message })

/** Whatever was thrown, as a status; anything that is not a GrpcError is hidden behind INTERNAL. */
export const toGrpcError = (cause: unknown): GrpcError =>
  cause instanceof GrpcError ? cause : grpcError(Status.INTERNAL, "internal error")

const isPlain = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e && byte !== 0x25

/** Percent-encodes the UTF-8 bytes that a header may not carry (gRPC over HTTP/2, Status-Message). */
export const encodeGrpcMessage = (text: string): string => {
  let encoded = ""
  for (const byte of Buffer.from(text, "utf8")) {
    encoded += isPlain(byte)
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  }
  return encoded
}

/** Undoes {@link encodeGrpcMessage}; sequences that do not decode stay as they are. */
export const decodeGrpcMessage = (encoded: string): string => {
  if (!encoded.includes("%")) return encoded
  const bytes: Array<number> = []
  for (let at = 0; at < encoded.length; at++) {
    const hex = encoded[at] === "%" ? encoded.slice(at + 1, at + 3) : ""
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16))
      at += 2
    } else {
      bytes.push(...Buffer.from(encoded[at] ?? "", "utf8"))
    }
  }
  return Buffer.from(bytes).toString("utf8")
}
