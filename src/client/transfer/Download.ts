import { randomBytes } from "node:crypto"
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { pipeline } from "node:stream"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { exec } from "../Exec.ts"
import type { ClientError, GatewayClientService } from "../GatewayClient.ts"
import { FramedOutput, Tail } from "./Framed.ts"
import { HashingStream } from "./HashingStream.ts"
import type { DownloadOptions, TransferResult } from "./Options.ts"
import { place } from "./Place.ts"
import { attempt, remoteFailure } from "./RemoteFailure.ts"
import { downloadScript, scriptCommand } from "./RemoteScript.ts"
import { TransferFailed } from "./TransferFailed.ts"
import { unpackTree } from "./Unpack.ts"

/** GNU tar's exit code for files that changed or vanished while it read them. */
const tarSomeDiffered = 1

/** Copies a file or directory of a sandbox to this machine; see `Transfer.ts`. */
export const download = (
  client: GatewayClientService,
  options: DownloadOptions,
): Effect.Effect<TransferResult, ClientError | TransferFailed> =>
  Effect.scoped(
    Effect.gen(function* () {
      const nonce = randomBytes(16).toString("hex")
      const stdout = new FramedOutput(nonce, 3)
      const stderr = new Tail()
      const request = {
        sandboxId: options.sandboxId,
        command: scriptCommand(downloadScript, nonce, [options.remote]),
      }
      let over = false
      const sending = yield* exec(client, request, { stdout, stderr, onStall: options.onStall }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            over = true
            stdout.end()
          }),
        ),
        Effect.forkScoped,
      )
      const received = yield* Effect.exit(receive(stdout, options))
      // A local failure ends the sandbox's part; a stream that broke off has its reason there.
      if (Exit.isFailure(received) && !over) return yield* Effect.failCause(received.cause)
      const code = yield* Fiber.join(sending)
      if (code !== 0 && !(code === tarSomeDiffered && Exit.isSuccess(received))) {
        return yield* remoteFailure(code, stderr.text)
      }
      const { target, payload, sum, unpacked } = yield* received
      if (!stderr.text.includes(`${nonce} ${sum}`)) {
        return yield* new TransferFailed({
          reason: "damaged",
          message: "the SHA-256 of what arrived differs",
        })
      }
      yield* attempt(() => place(payload, target), "unwritable", `cannot write ${target}`)
      return { target, files: unpacked.files, bytes: unpacked.bytes, skipped: unpacked.skipped }
    }),
  )

const receive = Effect.fn("client.download.receive")(function* (
  stdout: FramedOutput,
  options: DownloadOptions,
) {
  const [kind, size, name] = yield* attempt(() => stdout.fields, "damaged", "the sandbox gave no answer")
  options.onStart?.(Number(size))
  const target = yield* attempt(() => targetOf(options.local, name ?? ""), "unwritable", options.local)
  const payload = join(yield* temporaryBeside(target), "payload")
  const hashing = new HashingStream(options.onBytes)
  const unpacked = yield* attempt(
    () =>
      unpackTree(
        pipeline(stdout, hashing, () => undefined),
        payload,
        { single: kind === "file" },
      ),
    "unwritable",
    `cannot write ${target}`,
  )
  return { target, payload, unpacked, sum: hashing.digest() }
})

/** As cp: into a directory that exists or is meant (trailing slash), otherwise under the name given. */
const targetOf = async (local: string, name: string): Promise<string> => {
  if (name === "" || name === "." || name === ".." || name.includes("/")) {
    throw new TransferFailed({ reason: "damaged", message: "the sandbox sent an unsafe name" })
  }
  const isDirectory = await stat(local).then(
    (stats) => stats.isDirectory(),
    () => local.endsWith("/"),
  )
  return isDirectory ? resolve(local, name) : resolve(local)
}

/** Beside the target, so that the last step is a rename within one file system. */
const temporaryBeside = (target: string): Effect.Effect<string, TransferFailed, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(
      async () => {
        await mkdir(dirname(target), { recursive: true })
        return await mkdtemp(join(dirname(target), ".holdfast-download-"))
      },
      "unwritable",
      `cannot write ${target}`,
    ),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true })),
  )
