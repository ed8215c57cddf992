/**
 * A method of some wire, as everything above the wire sees it: its path, and its messages as values of the domain.
 * A version of a wire is a folder beside this file that exports such methods; nothing outside names its messages.
 */

/** Calls that a replica treats in its own way when it is left: they last, and their callers know what to do. */
export type LongCall = "session" | "relay" | "log-push" | "watch"

/** What a gateway needs to serve a method. Decoding throws GrpcError or a tagged public error. */
export interface ServedMethod<I, O> {
  /** `/package.Service/Method` */
  readonly path: string
  readonly decodeRequest: (bytes: Uint8Array) => I
  readonly encodeResponse: (response: O) => Uint8Array
  /**
   * Its responses, and its requests after the first, are byte for byte those of a command on a resumable stream
   * (`ExecStream.ts`): they pass unread.
   */
  readonly isExecStream?: true
  readonly longCall?: LongCall
}

/** What a client needs to call a method. */
export interface CalledMethod<I, O> {
  readonly path: string
  readonly encodeRequest: (request: I) => Uint8Array
  readonly decodeResponse: (bytes: Uint8Array) => O
}
