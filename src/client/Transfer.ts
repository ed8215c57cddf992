/**
 * Files to and from a sandbox over one exec, without ssh on this machine: a tar stream, compared by SHA-256,
 * put under its final name by rename only when all of it is there. A copy that fails leaves the target as it
 * was. A directory that exists is merged into, file by file, after every name was checked against it.
 */
export { download } from "./transfer/Download.ts"
export type { DownloadOptions, Progress, TransferResult, UploadOptions } from "./transfer/Options.ts"
export { TransferFailed } from "./transfer/TransferFailed.ts"
export { upload } from "./transfer/Upload.ts"
