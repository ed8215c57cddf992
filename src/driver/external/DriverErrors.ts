/** What a compute driver's refusals mean to our callers. Pure. */
import {
  AlreadyExists,
  DeadlineExceeded,
  FailedPrecondition,
  Internal,
  InvalidArgument,
  isPublicError,
  LimitReached,
  NotFound,
  type PublicError,
  Unavailable,
  Unimplemented,
} from "../../domain/Errors.ts"
import { Status, statusName } from "../../domain/Status.ts"
import { GrpcError } from "../../wire/grpc/GrpcError.ts"

/** A driver that is not reached, or lost in a call: the same may succeed when it is back. */
export const isAway = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNAVAILABLE

/**
 * Texts of refusals are the driver's own: they are about what the caller asked. Its faults are ours to callers, as
 * the reference has it, under the driver's name.
 */
export const publicErrorOf = (driver: string, cause: unknown): PublicError => {
  if (!(cause instanceof GrpcError)) {
    if (isPublicError(cause)) return cause
    return new Internal({
      message: `compute driver '${driver}': ${cause instanceof Error ? cause.message : cause}`,
    })
  }
  const { code, message } = cause
  switch (code) {
    case Status.INVALID_ARGUMENT:
    case Status.OUT_OF_RANGE:
      return new InvalidArgument({ message })
    case Status.FAILED_PRECONDITION:
      return new FailedPrecondition({ message })
    case Status.RESOURCE_EXHAUSTED:
      return new LimitReached({ message })
    case Status.ALREADY_EXISTS:
      return new AlreadyExists({ message })
    case Status.NOT_FOUND:
      return new NotFound({ message })
    case Status.UNIMPLEMENTED:
      return new Unimplemented({ message: `compute driver '${driver}': ${message}` })
    case Status.UNAVAILABLE:
      return new Unavailable({ message: `compute driver '${driver}' is not reachable: ${message}` })
    case Status.DEADLINE_EXCEEDED:
      return new DeadlineExceeded({ message: `compute driver '${driver}' did not answer in time` })
    default:
      return new Internal({ message: `compute driver '${driver}': ${statusName(code)}: ${message}` })
  }
}
