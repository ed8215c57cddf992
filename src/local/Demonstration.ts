/** Shows on a running cluster what it is for: one sandbox, reached through every replica in turn. */
import { Writable } from "node:stream"
import { Clock, Effect, Schedule } from "effect"
import { exec } from "../client/Exec.ts"
import { type ClientError, GatewayClient, type GatewayClientService } from "../client/GatewayClient.ts"
import { waitForPhase } from "../client/Watch.ts"
import { Internal } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"

export const sandboxName = "demo"

/** What one replica answered and where the work was. */
export interface Answer {
  /** The replica that was asked, at its own address. */
  readonly asked: string
  /** The replica that says it answered. */
  readonly answeredBy: string
  /** The replica that owns the sandbox. */
  readonly owner: string
  /** The replica that holds the session of its supervisor. */
  readonly sessionHolder: string
  readonly output: string
  /** Of the command, from the call to its exit code. */
  readonly tookMs: number
}

export interface PreparedSandbox {
  readonly sandbox: Sandbox
  /** `found`: it was there from an earlier start. */
  readonly origin: "created" | "found" | "started" | "created again"
}

const create = (client: GatewayClientService): Effect.Effect<Sandbox, ClientError> =>
  client.createSandbox({ name: sandboxName, spec: {} }).pipe(
    // Somebody else was faster.
    Effect.catchTag("AlreadyExists", () => client.getSandbox(sandboxName)),
  )

/** Brings the sandbox that exists to a phase from which it becomes Ready. */
const revive = (
  client: GatewayClientService,
  sandbox: Sandbox,
): Effect.Effect<PreparedSandbox, ClientError> => {
  const again = Effect.map(create(client), (fresh) => ({ sandbox: fresh, origin: "created again" as const }))
  const timeoutMs = limits.demonstrationMs
  switch (sandbox.status.phase) {
    case "Stopping":
    case "Stopped":
      return waitForPhase(client, sandbox, { phase: "Stopped", timeoutMs }).pipe(
        Effect.zipRight(client.startSandbox(sandboxName)),
        Effect.map((started) => ({ sandbox: started, origin: "started" as const })),
      )
    case "Deleting":
      return waitForPhase(client, sandbox, { phase: "Deleted", timeoutMs }).pipe(Effect.zipRight(again))
    case "Error":
      // A sandbox whose main process has ended does not start again, and this one holds nobody's work.
      return client
        .deleteSandbox(sandboxName)
        .pipe(
          Effect.zipRight(waitForPhase(client, sandbox, { phase: "Deleted", timeoutMs })),
          Effect.zipRight(again),
        )
    default:
      return Effect.succeed({ sandbox, origin: "found" })
  }
}

/** The sandbox `demo`, Ready; the one of an earlier start when it is there. */
export const prepare = (frontDoor: string): Effect.Effect<PreparedSandbox, ClientError> =>
  Effect.gen(function* () {
    const client = yield* GatewayClient.make({ endpoint: { url: frontDoor } })
    const prepared = yield* client.getSandbox(sandboxName).pipe(
      Effect.flatMap((sandbox) => revive(client, sandbox)),
      Effect.catchTag("NotFound", () =>
        Effect.map(create(client), (sandbox): PreparedSandbox => ({ sandbox, origin: "created" })),
      ),
    )
    const timeoutMs = limits.demonstrationMs
    const sandbox = yield* waitForPhase(client, prepared.sandbox, { phase: "Ready", timeoutMs })
    return { ...prepared, sandbox }
  }).pipe(Effect.scoped)

const collector = (): { readonly stream: Writable; readonly text: () => string } => {
  let text = ""
  const stream = new Writable({
    write(chunk, _encoding, done) {
      // A greeting is short; whatever else says more is cut.
      text = `${text}${chunk}`.slice(0, 1_000)
      done()
    },
  })
  return { stream, text: () => text.trim() }
}

const greet = (client: GatewayClientService, sandbox: Sandbox, replica: string) =>
  Effect.gen(function* () {
    const stdout = collector()
    const stderr = collector()
    const startedAtMs = yield* Clock.currentTimeMillis
    const command = ["echo", `hello from ${sandboxName} through ${replica}`]
    const request = { sandboxId: sandbox.id, command }
    const code = yield* exec(client, request, { stdout: stdout.stream, stderr: stderr.stream })
    const tookMs = (yield* Clock.currentTimeMillis) - startedAtMs
    if (code !== 0) {
      return yield* new Internal({
        message: `echo in ${sandboxName} ended with code ${code}: ${stderr.text()}`,
      })
    }
    return { output: stdout.text(), tookMs }
  })

/** Runs a command in the sandbox through one replica, and asks that replica where the sandbox is. */
export const askThrough = (
  replica: { readonly name: string; readonly url: string },
  sandbox: Sandbox,
): Effect.Effect<Answer, ClientError> =>
  Effect.gen(function* () {
    const client = yield* GatewayClient.make({ endpoint: { url: replica.url } })
    const { output, tookMs } = yield* greet(client, sandbox, replica.name).pipe(
      // After a restart the supervisor may still be on its way back.
      Effect.retry({
        while: (error) => error._tag === "Unavailable" || error._tag === "ConnectFailed",
        schedule: Schedule.spaced(200).pipe(Schedule.upTo(limits.demonstrationMs)),
      }),
    )
    const location = yield* client.locateSandbox(sandbox.id)
    return {
      asked: replica.name,
      answeredBy: location.answeredBy,
      owner: location.owner,
      sessionHolder: location.sessionHolder,
      output,
      tookMs,
    }
  }).pipe(Effect.scoped)
