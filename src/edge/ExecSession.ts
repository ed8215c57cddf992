/** Exec for clients that have no SSH of their own: an SSH client in the gateway, over a relay to the sandbox. */
import type { Duplex } from "node:stream"
import { Duration, Effect, type Scope } from "effect"
import { Client, type ClientChannel, type ExecOptions } from "ssh2"
import { PermissionDenied, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"

export interface Terminal {
  readonly cols: number
  readonly rows: number
}

export const noExitStatus = "exec relay closed before the command reported an exit status"

const notStored = "the sandbox could not store a long command"

/** The SSH user of sandboxes; its server ignores the name. */
const user = "sandbox"

/** SSH over the relay: any host key, no credentials, because the relay itself is what is trusted. */
const connect = (relay: Duplex): Effect.Effect<Client, PermissionDenied | Unavailable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Client, PermissionDenied | Unavailable>((resume) => {
      const client = new Client()
      client.once("ready", () => resume(Effect.succeed(client)))
      client.on("error", (error) => {
        const level: unknown = Reflect.get(error, "level")
        resume(
          Effect.fail(
            level === "client-authentication"
              ? new PermissionDenied({ message: "ssh authentication rejected by sandbox" })
              : new Unavailable({ message: noExitStatus }),
          ),
        )
      })
      client.once("close", () => resume(Effect.fail(new Unavailable({ message: noExitStatus }))))
      client.connect({
        sock: relay,
        username: user,
        authHandler: ["none"],
        hostVerifier: () => true,
        keepaliveInterval: limits.execKeepaliveMs,
        keepaliveCountMax: limits.execKeepaliveCount,
        readyTimeout: limits.relayClaimTimeoutMs,
      })
    }),
    (client) =>
      Effect.sync(() => {
        client.end()
        relay.destroy()
      }),
  )

export interface RunningExec {
  readonly channel: ClientChannel
  /** The exit status, as soon as the sandbox reports it; undefined when the channel closes without one. */
  readonly exit: Promise<number | undefined>
}

const openChannel = (
  client: Client,
  command: string,
  options: ExecOptions,
): Effect.Effect<RunningExec, Unavailable> =>
  Effect.async((resume) => {
    client.exec(command, options, (error, channel) =>
      resume(
        error === undefined
          ? // Listening from here on: the status of a short command may come with this very packet.
            Effect.succeed({ channel, exit: exitOf(channel) })
          : Effect.fail(new Unavailable({ message: noExitStatus })),
      ),
    )
  })

/**
 * An SSH packet carries at most 35,000 bytes everywhere, an exec of the wire up to 256 KiB: a longer command is
 * left in a file of the sandbox first, and read from there. Returns the short command that stands for it.
 */
const stage = (client: Client, command: string): Effect.Effect<string, Unavailable> =>
  Effect.flatMap(
    openChannel(client, 'umask 077; f=$(mktemp) && cat >"$f" && printf %s "$f"', {}),
    ({ channel }) =>
      Effect.async<string, Unavailable>((resume) => {
        let file = ""
        channel.on("data", (chunk: Buffer) => {
          file += chunk.toString()
          // Whoever answers with more than a path is no shell of ours; it may not fill our memory.
          if (file.length > limits.execStageBytes) channel.destroy()
        })
        channel.once("close", () =>
          resume(
            file === "" || file.length > limits.execStageBytes
              ? Effect.fail(new Unavailable({ message: notStored }))
              : Effect.succeed(`f='${file}'; c=$(cat "$f"); rm -f "$f"; eval "$c"`),
          ),
        )
        channel.end(command)
      }),
  ).pipe(
    Effect.timeoutFail({
      duration: Duration.millis(limits.execStageMs),
      onTimeout: () => new Unavailable({ message: notStored }),
    }),
  )

/** Starts `command`; with a terminal the sandbox allocates a pty. */
export const startExec = (
  relay: Duplex,
  command: string,
  terminal: Terminal | undefined,
): Effect.Effect<RunningExec, PermissionDenied | Unavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* connect(relay)
    const short =
      Buffer.byteLength(command) > limits.sshCommandBytes ? yield* stage(client, command) : command
    return yield* openChannel(
      client,
      short,
      terminal === undefined ? {} : { pty: { term: "xterm-256color", ...terminal } },
    )
  })

/** Signals as the shell reports them: 128 + number. */
const signalNumbers: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  ABRT: 6,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
}

const exitOf = (channel: ClientChannel): Promise<number | undefined> =>
  new Promise((resolve) => {
    channel.once("exit", (code: number | null, signal?: string) =>
      resolve(code ?? 128 + (signalNumbers[signal?.replace(/^SIG/, "") ?? ""] ?? 0)),
    )
    channel.once("close", () => resolve(undefined))
    channel.once("error", () => resolve(undefined))
  })
