/** What is said first on the two ends of a relay; after it come bytes. */
import type { RelayTarget } from "./Sandbox.ts"

/** A client's first words. Nothing of it is checked yet. */
export interface ForwardStart {
  readonly sandboxId: string
  /** Label for logs. */
  readonly serviceId: string
  readonly target: RelayTarget | undefined
  /** Of an SSH session; empty without one. */
  readonly token: string
  /** The relay may be a carrier of the stream with this key (hex); `resumed`: not its first. */
  readonly carrier?: { readonly key: string; readonly kind: string; readonly resumed: boolean }
}

export type ForwardFrame =
  | { readonly _tag: "Start"; readonly start: ForwardStart }
  /** Bytes, or what a later version says. */
  | { readonly _tag: "Other" }

/** A supervisor's first words: which relay it brings. */
export type RelayFrame = { readonly _tag: "Start"; readonly channelId: string } | { readonly _tag: "Other" }
