/** SSH sessions, forwards and exec (contract 1.3). */
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { nobody, refuses, type StatusRow, type StatusWorld } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { OK, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNAUTHENTICATED } = Status

const waiting = (world: StatusWorld) => world.sandbox("x-waiting")
const ready = (world: StatusWorld) => world.sandbox("x-ready", "Ready")

const ssh: ReadonlyArray<StatusRow> = [
  refuses(method.createSshSession, "an empty id", {}, INVALID_ARGUMENT, "sandbox_id is required"),
  refuses(method.createSshSession, "an unknown id", { sandboxId: nobody }, NOT_FOUND, "sandbox not found"),
  refuses(
    method.createSshSession,
    "a sandbox that is not ready",
    async (world) => ({ sandboxId: await waiting(world) }),
    FAILED_PRECONDITION,
    "sandbox is not ready",
  ),
  refuses(method.revokeSshSession, "an empty token", {}, INVALID_ARGUMENT, "token is required"),
  refuses(method.revokeSshSession, "an unknown token", { token: nobody }, OK, ""),
]

const tcp = (host: string, port: number) => ({ case: "tcp" as const, value: { host, port } })
const init = (over: {
  readonly sandboxId?: string
  readonly target?: ReturnType<typeof tcp>
  readonly authorizationToken?: string
}) => ({ payload: { case: "init" as const, value: { sandboxId: nobody, ...over } } })

const forward: ReadonlyArray<StatusRow> = [
  refuses(method.forwardTcp, "an empty stream", [], INVALID_ARGUMENT, "empty ForwardTcp stream"),
  refuses(
    method.forwardTcp,
    "another first message",
    { payload: { case: "data", value: Buffer.from("x") } },
    INVALID_ARGUMENT,
    "first TcpForwardFrame must be init",
  ),
  refuses(
    method.forwardTcp,
    "an empty id",
    init({ sandboxId: "", target: tcp("127.0.0.1", 1) }),
    INVALID_ARGUMENT,
    "sandbox_id is required",
  ),
  refuses(method.forwardTcp, "no target", init({}), INVALID_ARGUMENT, "tcp forward target is required"),
  ...[0, 65_536].map((port) =>
    refuses(
      method.forwardTcp,
      `the port ${port}`,
      init({ target: tcp("127.0.0.1", port) }),
      INVALID_ARGUMENT,
      "tcp target port must be between 1 and 65535",
    ),
  ),
  refuses(
    method.forwardTcp,
    "no host",
    init({ target: tcp("", 1) }),
    INVALID_ARGUMENT,
    "tcp target host is required",
  ),
  refuses(
    method.forwardTcp,
    "a host elsewhere",
    init({ target: tcp("10.0.0.1", 1) }),
    INVALID_ARGUMENT,
    "tcp target host must be loopback",
  ),
  refuses(
    method.forwardTcp,
    "an unknown id",
    init({ target: tcp("127.0.0.1", 1), authorizationToken: "t" }),
    NOT_FOUND,
    "sandbox not found",
  ),
  refuses(
    method.forwardTcp,
    "a sandbox that is not ready",
    async (world) => init({ sandboxId: await waiting(world), target: tcp("127.0.0.1", 1) }),
    FAILED_PRECONDITION,
    "sandbox is not ready",
  ),
  refuses(
    method.forwardTcp,
    "no token",
    async (world) => init({ sandboxId: await ready(world), target: tcp("127.0.0.1", 1) }),
    UNAUTHENTICATED,
    "authorization_token is required for ForwardTcp",
  ),
  refuses(
    method.forwardTcp,
    "an unknown token",
    async (world) =>
      init({ sandboxId: await ready(world), target: tcp("127.0.0.1", 1), authorizationToken: nobody }),
    UNAUTHENTICATED,
    "SSH session token not found",
  ),
]

const sandboxId = nobody
const command = ["true"]
const execCases: ReadonlyArray<
  readonly [
    when: string,
    request: {
      readonly sandboxId?: string
      readonly command?: Array<string>
      readonly workdir?: string
      readonly environment?: Record<string, string>
    },
    text: string | RegExp,
  ]
> = [
  ["an empty id", { command }, "sandbox_id is required"],
  ["no command", { sandboxId }, "command is required"],
  [
    "too many arguments",
    { sandboxId, command: Array.from({ length: limits.execArguments + 1 }, () => "a") },
    "command exceeds 1024 arguments",
  ],
  [
    "a long argument",
    { sandboxId, command: ["a".repeat(limits.execArgumentBytes + 1)] },
    /exceeds 32768 byte limit/,
  ],
  [
    "a long command",
    { sandboxId, command: Array.from({ length: 9 }, () => "a".repeat(32_000)) },
    /^command exceeds 262144 byte limit/,
  ],
  ["an argument with NUL", { sandboxId, command: ["a\0"] }, /NUL/],
  ["a long directory", { sandboxId, command, workdir: "w".repeat(4_097) }, /workdir exceeds 4096/],
  ["a directory with a line break", { sandboxId, command, workdir: "a\nb" }, /workdir contains/],
  [
    "a variable that no shell can hold",
    { sandboxId, command, environment: { "1A": "" } },
    /invalid environment key/,
  ],
  ["a variable of the gateway's", { sandboxId, command, environment: { OPENSHELL_X: "" } }, /reserved/],
  ["a value with NUL", { sandboxId, command, environment: { A: "a\0" } }, /NUL/],
]

const exec: ReadonlyArray<StatusRow> = [
  ...execCases.flatMap(([when, request, text]) => [
    refuses(method.execSandbox, when, request, INVALID_ARGUMENT, text),
    refuses(
      method.execSandboxInteractive,
      when,
      { payload: { case: "start", value: request } },
      INVALID_ARGUMENT,
      text,
    ),
  ]),
  refuses(
    method.execSandboxInteractive,
    "an empty stream",
    [],
    INVALID_ARGUMENT,
    "empty stream: expected start message",
  ),
  refuses(
    method.execSandboxInteractive,
    "another first message",
    { payload: { case: "stdin", value: Buffer.from("x") } },
    INVALID_ARGUMENT,
    "first message must be a start payload",
  ),
  refuses(method.execSandbox, "an unknown id", { sandboxId, command }, NOT_FOUND, "sandbox not found"),
  refuses(
    method.execSandbox,
    "a sandbox that is not ready",
    async (world) => ({ sandboxId: await waiting(world), command }),
    FAILED_PRECONDITION,
    "sandbox is not ready",
  ),
]

export const streamRows: ReadonlyArray<StatusRow> = [...ssh, ...forward, ...exec]
