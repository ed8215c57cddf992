import type { StallListener } from "../Stalls.ts"

/** What an upload or a download is told and what it reports. */
export interface Progress {
  /** Once, when the size is known; an estimate for a directory in a sandbox. */
  readonly onStart?: (totalBytes: number) => void
  readonly onBytes?: (bytes: number) => void
  readonly onStall?: StallListener
}

export interface UploadOptions extends Progress {
  readonly sandboxId: string
  readonly local: string
  /** Empty for the sandbox's working directory. */
  readonly remote: string
  readonly gitIgnore?: boolean
}

export interface DownloadOptions extends Progress {
  readonly sandboxId: string
  readonly remote: string
  readonly local: string
}

export interface TransferResult {
  /** The final path on the receiving side. */
  readonly target: string
  readonly files: number
  readonly bytes: number
  /** What was left out because it is neither file, directory nor link. */
  readonly skipped: ReadonlyArray<string>
}
