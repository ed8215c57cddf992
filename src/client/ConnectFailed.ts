import * as Data from "effect/Data"

/** No connection to the gateway came about, so nothing was asked of it and the call can be repeated. */
export class ConnectFailed extends Data.TaggedError("ConnectFailed")<{
  readonly url: string
  /** What the system or the other end said, such as `connect ECONNREFUSED 127.0.0.1:17670`. */
  readonly message: string
}> {}
