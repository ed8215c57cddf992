/**
 * What a carrier was opened for is part of its binding: a stream begins, and is resumed, only over carriers
 * that were admitted for its very kind and target.
 */
import type { IncomingStream } from "./StreamServer.ts"

/** JSON ends by itself, so one prefix is never the beginning of another. */
const prefix = (kind: string, target: string): string => `${JSON.stringify([kind, target])} `

/** The binding for `StreamServer.accept`. */
export const admittedBinding = (kind: string, target: string, binding: string): string =>
  prefix(kind, target) + binding

/** Whether a stream is what its carrier was admitted for. */
export const isAdmitted = ({ kind, target, binding }: IncomingStream): boolean =>
  binding.startsWith(prefix(kind, target))

export const notAdmittedText = "the carrier was opened for another target"
