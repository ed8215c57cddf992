import { randomUUID } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http2"
import { limits } from "../../domain/Limits.ts"
import { Status, statusFromNumber } from "../../domain/Status.ts"
import { decodeGrpcMessage, encodeGrpcMessage, type GrpcError, grpcError } from "./GrpcError.ts"

/** `application/grpc`, `application/grpc+proto`, but not grpc-web, whose framing differs. */
export const isGrpcContentType = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/grpc(?:$|[+; ])/i.test(contentType)

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/** `grpc-timeout` in milliseconds, rounded up; undefined when absent or malformed. */
export const parseTimeoutMs = (header: string | ReadonlyArray<string> | undefined): number | undefined => {
  const match = typeof header === "string" ? /^(\d{1,8})([HMSmun])$/.exec(header) : null
  const factor = unitMs[match?.[2] ?? ""]
  return match === null || factor === undefined ? undefined : Math.ceil(Number(match[1]) * factor)
}

/** Eight digits at most: milliseconds up to a day, seconds beyond. */
export const formatTimeout = (timeoutMs: number): string => {
  const whole = Math.max(0, Math.ceil(timeoutMs))
  return whole <= 99_999_999 ? `${whole}m` : `${Math.min(99_999_999, Math.ceil(whole / 1_000))}S`
}

/** Timers take 31 bits of milliseconds; a longer deadline is as good as none for a process. */
export const clampTimerMs = (delayMs: number): number => Math.min(delayMs, 2_147_483_647)

/** The caller's `x-request-id` when it is printable and short, a fresh one otherwise. */
export const requestIdOf = (headers: IncomingHttpHeaders): string => {
  const given = headers["x-request-id"]
  const acceptable =
    typeof given === "string" && given.length <= limits.requestIdLength && /^[\x21-\x7e]+$/.test(given)
  return acceptable ? given : randomUUID()
}

export const statusTrailers = (error: GrpcError | undefined): Record<string, string> => {
  if (error === undefined) return { "grpc-status": "0" }
  const message = encodeGrpcMessage(error.message)
  return message === ""
    ? { "grpc-status": String(error.code) }
    : { "grpc-status": String(error.code), "grpc-message": message }
}

/** The status that trailers or trailers-only headers carry; `"absent"` when they carry none. */
export const statusFromTrailers = (headers: IncomingHttpHeaders): GrpcError | undefined | "absent" => {
  const raw = headers["grpc-status"]
  if (typeof raw !== "string") return "absent"
  const code = statusFromNumber(/^\d+$/.test(raw) ? Number(raw) : Number.NaN)
  if (code === Status.OK) return undefined
  const text = headers["grpc-message"]
  return grpcError(code, typeof text === "string" ? decodeGrpcMessage(text) : "")
}

/** What an answer from something that is not a gRPC server means (grpc/doc/http-grpc-status-mapping.md). */
export const statusFromHttp = (httpStatus: number): GrpcError => {
  const message = `the server answered HTTP ${httpStatus}, not gRPC`
  switch (httpStatus) {
    case 400:
      return grpcError(Status.INTERNAL, message)
    case 401:
      return grpcError(Status.UNAUTHENTICATED, message)
    case 403:
      return grpcError(Status.PERMISSION_DENIED, message)
    case 404:
      return grpcError(Status.UNIMPLEMENTED, message)
    case 429:
    case 502:
    case 503:
    case 504:
      return grpcError(Status.UNAVAILABLE, message)
    default:
      return grpcError(Status.UNKNOWN, message)
  }
}
