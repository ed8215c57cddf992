import { randomBytes } from "node:crypto"
import { basename, resolve } from "node:path"
import { Effect } from "effect"
import { exec } from "../Exec.ts"
import type { ClientError, GatewayClientService } from "../GatewayClient.ts"
import { FramedOutput, Tail } from "./Framed.ts"
import { readLocalTree } from "./LocalTree.ts"
import type { TransferResult, UploadOptions } from "./Options.ts"
import { packTree } from "./Pack.ts"
import { attempt, remoteFailure } from "./RemoteFailure.ts"
import { scriptCommand, uploadScript } from "./RemoteScript.ts"
import { fileProblem, type TransferFailed } from "./TransferFailed.ts"

/** Copies a local file or directory into a sandbox; see `Transfer.ts`. */
export const upload = (
  client: GatewayClientService,
  options: UploadOptions,
): Effect.Effect<TransferResult, ClientError | TransferFailed> =>
  Effect.gen(function* () {
    const local = resolve(options.local)
    const unreadable = `cannot read ${options.local}`
    const tree = yield* attempt(
      () => readLocalTree(local, { gitIgnore: options.gitIgnore ?? false }),
      "unreadable",
      unreadable,
    )
    options.onStart?.(tree.totalBytes)
    const nonce = randomBytes(16).toString("hex")
    const stdin = packTree(tree, options.onBytes === undefined ? {} : { onProgress: options.onBytes })
    let packing: Error | undefined
    stdin.on("error", (error) => {
      packing = error
    })
    const stdout = new FramedOutput(nonce, 1)
    stdout.resume()
    const stderr = new Tail()
    const request = {
      sandboxId: options.sandboxId,
      command: scriptCommand(uploadScript, nonce, [
        options.remote === "" ? "." : options.remote,
        basename(local),
      ]),
    }
    const code = yield* exec(client, request, { stdin, stdout, stderr, onStall: options.onStall }).pipe(
      Effect.mapError((error) =>
        packing === undefined ? error : fileProblem("unreadable", unreadable, packing),
      ),
      Effect.ensuring(Effect.sync(() => stdin.destroy())),
    )
    if (code !== 0) return yield* remoteFailure(code, stderr.text)
    stdout.end()
    const [target] = yield* attempt(() => stdout.fields, "damaged", "the sandbox gave no answer")
    return {
      target: target ?? "",
      files: tree.entries.filter((entry) => entry.kind === "file").length,
      bytes: tree.totalBytes,
      skipped: tree.skipped,
    }
  })
