/**
 * Every public error: a tag, one gRPC status, one exit code of the CLI, and when it happens.
 * Messages that OpenShell's tools match on are literal (wire contract 1.3).
 */
import { Schema } from "effect"
import { Status, type StatusCode } from "./Status.ts"

const fields = { message: Schema.String }

/** The request itself is wrong; sending it again cannot help. */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>()("InvalidArgument", fields) {}
/** No credentials, or credentials that do not verify. */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", fields) {}
/** Known caller, not allowed. */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>()("PermissionDenied", fields) {}
/** The named object does not exist, or its existence is hidden from the caller. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", fields) {}
/** An object of that name exists. */
export class AlreadyExists extends Schema.TaggedError<AlreadyExists>()("AlreadyExists", fields) {}
/** The object is not in a state that allows this; change the state first. */
export class FailedPrecondition extends Schema.TaggedError<FailedPrecondition>()(
  "FailedPrecondition",
  fields,
) {}
/** Somebody else changed the object at the same time; read it again and retry. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", fields) {}
/** A limit is reached; it frees as others finish. */
export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", fields) {}
/** Something needed is away for now; the same call may work soon. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", fields) {}
/** The call's time ran out. */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", fields) {}
/** A method or feature this gateway does not have. */
export class Unimplemented extends Schema.TaggedError<Unimplemented>()("Unimplemented", fields) {}
/** A replica acted on an epoch older than one already seen; the current owner must act instead. */
export class StaleEpoch extends Schema.TaggedError<StaleEpoch>()("StaleEpoch", {
  ...fields,
  shard: Schema.Number,
  epoch: Schema.Number,
  seen: Schema.Number,
}) {}
/** A resumable stream found no replica in time; bytes under way may or may not have arrived. */
export class StreamLost extends Schema.TaggedError<StreamLost>()("StreamLost", fields) {}
/** One end of a resumable stream gave it up. */
export class StreamReset extends Schema.TaggedError<StreamReset>()("StreamReset", fields) {}
/** The sandbox did not take a resumable stream; nothing of it was consumed. */
export class StreamRefused extends Schema.TaggedError<StreamRefused>()("StreamRefused", fields) {}
/** A fault of the gateway itself; the cause is in its log under the request id. */
export class Internal extends Schema.TaggedError<Internal>()("Internal", fields) {}

export const PublicError = Schema.Union(
  InvalidArgument,
  Unauthenticated,
  PermissionDenied,
  NotFound,
  AlreadyExists,
  FailedPrecondition,
  Conflict,
  LimitReached,
  Unavailable,
  DeadlineExceeded,
  Unimplemented,
  StaleEpoch,
  StreamLost,
  StreamReset,
  StreamRefused,
  Internal,
)
export type PublicError = typeof PublicError.Type
export const isPublicError = Schema.is(PublicError)

/** `what` found another version than it started from; `resourceVersion` is the one that holds. */
export const concurrentModification = (what: string, resourceVersion: number): Conflict =>
  new Conflict({
    message: `${what} failed due to concurrent modification (current resource_version: ${resourceVersion})`,
  })

/** How a replica says that it cannot act because the database is away, or out of its reach alone. */
export const databaseAwayText = "the database is away, so this replica may not act; try again in a moment"

/** Whether another replica may well do what this one could not. */
export const isDatabaseAway = (message: string): boolean =>
  message.includes(databaseAwayText) || message.includes("database unavailable")

/** The one status and the one exit code of each tag; `docs/reference/errors.md` is printed from it. */
export const errorTable: {
  readonly [T in PublicError["_tag"]]: {
    readonly status: StatusCode
    readonly exitCode: number
    readonly meaning: string
  }
} = {
  InvalidArgument: { status: Status.INVALID_ARGUMENT, exitCode: 2, meaning: "the request itself is wrong" },
  Unauthenticated: { status: Status.UNAUTHENTICATED, exitCode: 3, meaning: "no valid credentials" },
  PermissionDenied: { status: Status.PERMISSION_DENIED, exitCode: 4, meaning: "the caller may not do this" },
  NotFound: { status: Status.NOT_FOUND, exitCode: 5, meaning: "no such object" },
  AlreadyExists: { status: Status.ALREADY_EXISTS, exitCode: 6, meaning: "the name is taken" },
  FailedPrecondition: {
    status: Status.FAILED_PRECONDITION,
    exitCode: 7,
    meaning: "the object's state forbids it",
  },
  Conflict: { status: Status.ABORTED, exitCode: 8, meaning: "concurrent change; read and retry" },
  LimitReached: { status: Status.RESOURCE_EXHAUSTED, exitCode: 9, meaning: "a limit is reached" },
  Unavailable: { status: Status.UNAVAILABLE, exitCode: 10, meaning: "not reachable now; retry" },
  DeadlineExceeded: { status: Status.DEADLINE_EXCEEDED, exitCode: 11, meaning: "the time ran out" },
  Unimplemented: { status: Status.UNIMPLEMENTED, exitCode: 12, meaning: "this gateway lacks the method" },
  StaleEpoch: { status: Status.ABORTED, exitCode: 8, meaning: "a former owner acted; retry" },
  StreamLost: {
    status: Status.UNAVAILABLE,
    exitCode: 13,
    meaning: "no replica took the stream up again in time; bytes under way may or may not have arrived",
  },
  StreamReset: { status: Status.ABORTED, exitCode: 14, meaning: "the other end gave the stream up" },
  StreamRefused: {
    status: Status.UNAVAILABLE,
    exitCode: 15,
    meaning: "the sandbox did not take the stream; nothing of it was consumed",
  },
  Internal: { status: Status.INTERNAL, exitCode: 1, meaning: "a fault of the gateway" },
}
