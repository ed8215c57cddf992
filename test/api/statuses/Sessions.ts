/** Credentials, and what supervisors call (contract 1.3). */
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { nobody, refuses, type StatusRow, type StatusWorld } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { OK, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED } = Status

const own = (world: StatusWorld) => world.sandbox("s-own")
const other = (world: StatusWorld) => world.sandbox("s-other")
const bySelf = { sandbox: own }
const crossed = "cross-sandbox access denied: principal does not own this sandbox"

const tokenOf = (header: object): string =>
  [header, {}, {}].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")

const credentials: ReadonlyArray<StatusRow> = [
  refuses(method.getSandbox, "a token that is none", { name: "a" }, UNAUTHENTICATED, /^invalid token: /, {
    token: "nonsense",
  }),
  refuses(
    method.getSandbox,
    "a token without a key id",
    { name: "a" },
    UNAUTHENTICATED,
    "invalid token: missing kid",
    { token: tokenOf({ alg: "EdDSA" }) },
  ),
  refuses(
    method.getSandbox,
    "a token of another key",
    { name: "a" },
    UNAUTHENTICATED,
    "invalid token: unknown signing key",
    { token: tokenOf({ alg: "EdDSA", kid: "another" }) },
  ),
  refuses(
    method.getCurrentUser,
    "a sandbox",
    {},
    PERMISSION_DENIED,
    /sandbox principals may not call this method|GetCurrentUser requires a user principal/,
    bySelf,
  ),
  ...[method.reportMainProcessExit, method.connectSupervisor, method.relayStream, method.pushSandboxLogs].map(
    (one) => refuses(one, "a user", {}, PERMISSION_DENIED, "this method requires a sandbox principal"),
  ),
]

const hello = (sandboxId: string) => ({
  payload: { case: "hello" as const, value: { sandboxId, instanceId: "i" } },
})

const connect: ReadonlyArray<StatusRow> = [
  refuses(
    method.connectSupervisor,
    "an empty stream",
    [],
    INVALID_ARGUMENT,
    "stream closed before hello",
    bySelf,
  ),
  refuses(
    method.connectSupervisor,
    "another first message",
    { payload: { case: "heartbeat", value: {} } },
    INVALID_ARGUMENT,
    "expected SupervisorHello",
    bySelf,
  ),
  refuses(
    method.connectSupervisor,
    "a hello without a sandbox",
    hello(""),
    INVALID_ARGUMENT,
    "sandbox_id is required",
    bySelf,
  ),
  refuses(
    method.connectSupervisor,
    "a hello for another sandbox",
    async (world) => hello(await other(world)),
    PERMISSION_DENIED,
    crossed,
    bySelf,
  ),
  refuses(method.connectSupervisor, "a sandbox that is gone", hello(nobody), NOT_FOUND, "sandbox not found", {
    sandbox: nobody,
  }),
]

const exit: ReadonlyArray<StatusRow> = [
  refuses(
    method.reportMainProcessExit,
    "a report without a sandbox",
    { instanceId: "i" },
    INVALID_ARGUMENT,
    "sandbox_id is required",
    bySelf,
  ),
  refuses(
    method.reportMainProcessExit,
    "a report without an instance",
    async (world) => ({ sandboxId: await own(world) }),
    INVALID_ARGUMENT,
    "instance_id is required",
    bySelf,
  ),
  refuses(
    method.reportMainProcessExit,
    "a report for another sandbox",
    async (world) => ({ sandboxId: await other(world), instanceId: "i" }),
    PERMISSION_DENIED,
    crossed,
    bySelf,
  ),
  refuses(
    method.reportMainProcessExit,
    "a report of an instance that is not current",
    async (world) => ({ sandboxId: await own(world), instanceId: "stale" }),
    OK,
    "",
    bySelf,
  ),
  refuses(
    method.reportMainProcessExit,
    "a report of a sandbox that is gone",
    { sandboxId: nobody, instanceId: "i" },
    OK,
    "",
    { sandbox: nobody },
  ),
]

const logs: ReadonlyArray<StatusRow> = [
  refuses(
    method.pushSandboxLogs,
    "lines of another sandbox",
    async (world) => ({ sandboxId: await other(world) }),
    PERMISSION_DENIED,
    crossed,
    bySelf,
  ),
  refuses(
    method.pushSandboxLogs,
    "a stream that changes its sandbox",
    async (world) => [{ sandboxId: await own(world) }, { sandboxId: await other(world) }],
    PERMISSION_DENIED,
    "log stream sandbox_id changed after validation",
    bySelf,
  ),
  refuses(
    method.pushSandboxLogs,
    "lines of a sandbox that is gone",
    { sandboxId: nobody },
    NOT_FOUND,
    "sandbox not found",
    { sandbox: nobody },
  ),
  refuses(method.getSandboxLogs, "an empty id", {}, INVALID_ARGUMENT, "sandbox_id is required"),
  refuses(method.getSandboxLogs, "an unknown id", { sandboxId: nobody }, NOT_FOUND, "sandbox not found"),
  refuses(method.watchSandbox, "an empty id", {}, INVALID_ARGUMENT, "id is required"),
  refuses(method.watchSandbox, "an unknown id", { id: nobody }, NOT_FOUND, "sandbox not found"),
]

const init = (channelId: string) => ({ payload: { case: "init" as const, value: { channelId } } })

const relay: ReadonlyArray<StatusRow> = [
  refuses(method.relayStream, "an empty stream", [], INVALID_ARGUMENT, "empty RelayStream", bySelf),
  refuses(
    method.relayStream,
    "another first message",
    { payload: { case: "data", value: Buffer.from("x") } },
    INVALID_ARGUMENT,
    "first RelayFrame must be init with non-empty channel_id",
    bySelf,
  ),
  refuses(
    method.relayStream,
    "an init without a channel",
    init(""),
    INVALID_ARGUMENT,
    "first RelayFrame must be init with non-empty channel_id",
    bySelf,
  ),
  refuses(
    method.relayStream,
    "a channel that is not there",
    init(nobody),
    NOT_FOUND,
    "unknown or expired relay channel",
    bySelf,
  ),
]

export const sessionRows: ReadonlyArray<StatusRow> = [...credentials, ...connect, ...exit, ...logs, ...relay]
