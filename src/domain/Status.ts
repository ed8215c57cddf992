/** gRPC status codes, numbered as in the gRPC specification (statuscodes.md). */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type StatusName = keyof typeof Status
export type StatusCode = (typeof Status)[StatusName]

const entries: ReadonlyArray<readonly [string, StatusCode]> = Object.entries(Status)
const names: ReadonlyMap<StatusCode, string> = new Map(entries.map(([name, code]) => [code, name]))
const codes: ReadonlyMap<number, StatusCode> = new Map(entries.map(([, code]) => [code, code]))

/** The name of a code, such as `UNAVAILABLE`. */
export const statusName = (code: StatusCode): string => names.get(code) ?? "UNKNOWN"

/** A number off the wire as a code; numbers outside 0..16 are UNKNOWN, as the specification asks. */
export const statusFromNumber = (value: number): StatusCode => codes.get(value) ?? Status.UNKNOWN
