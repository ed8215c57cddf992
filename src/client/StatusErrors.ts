/** gRPC statuses and the ends of streams as the tagged errors of the domain. */
import {
  AlreadyExists,
  Conflict,
  DeadlineExceeded,
  FailedPrecondition,
  Internal,
  InvalidArgument,
  isPublicError,
  LimitReached,
  NotFound,
  PermissionDenied,
  type PublicError,
  StreamLost,
  StreamRefused,
  StreamReset,
  Unauthenticated,
  Unavailable,
  Unimplemented,
} from "../domain/Errors.ts"
import { Status } from "../domain/Status.ts"
import * as Outcome from "../stream/Outcome.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"

/** Texts are kept: OpenShell's tools match on them. */
export const publicErrorOf = (error: GrpcError): PublicError => {
  const fields = { message: error.message }
  switch (error.code) {
    case Status.INVALID_ARGUMENT:
    case Status.OUT_OF_RANGE:
      return new InvalidArgument(fields)
    case Status.UNAUTHENTICATED:
      return new Unauthenticated(fields)
    case Status.PERMISSION_DENIED:
      return new PermissionDenied(fields)
    case Status.NOT_FOUND:
      return new NotFound(fields)
    case Status.ALREADY_EXISTS:
      return new AlreadyExists(fields)
    case Status.FAILED_PRECONDITION:
      return new FailedPrecondition(fields)
    case Status.ABORTED:
      return new Conflict(fields)
    case Status.RESOURCE_EXHAUSTED:
      return new LimitReached(fields)
    case Status.UNAVAILABLE:
    case Status.CANCELLED:
      return new Unavailable(fields)
    case Status.DEADLINE_EXCEEDED:
      return new DeadlineExceeded(fields)
    case Status.UNIMPLEMENTED:
      return new Unimplemented(fields)
    default:
      return new Internal(fields)
  }
}

/** Whatever a call threw; something other than a status is a fault of this program. */
export const publicErrorOfUnknown = (cause: unknown): PublicError => {
  if (cause instanceof GrpcError) return publicErrorOf(cause)
  if (cause instanceof Outcome.StreamLost) return new StreamLost({ message: cause.message })
  if (cause instanceof Outcome.StreamReset) return new StreamReset({ message: cause.message })
  if (cause instanceof Outcome.StreamRefused) return new StreamRefused({ message: cause.message })
  if (isPublicError(cause)) return cause
  return new Internal({ message: cause instanceof Error ? cause.message : String(cause) })
}
