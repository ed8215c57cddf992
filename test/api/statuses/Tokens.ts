/** Tokens of sandboxes (contract 1.3). */
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { nobody, refuses, type StatusRow, type StatusWorld } from "../../kit/StatusTable.ts"

const { issueSandboxToken, refreshSandboxToken } = OpenShell.method
const { INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED } = Status

const own = (world: StatusWorld) => world.sandbox("t-own")
const names = (count: number) => Array.from({ length: count }, (_, index) => `service-${index}`)

export const tokenRows: ReadonlyArray<StatusRow> = [
  ...([issueSandboxToken, refreshSandboxToken] as const).map((one) =>
    refuses(one, "a user", {}, PERMISSION_DENIED, "this method requires a sandbox principal"),
  ),
  refuses(
    issueSandboxToken,
    "a sandbox that has a token",
    {},
    PERMISSION_DENIED,
    "this principal cannot mint a sandbox token; use RefreshSandboxToken",
    { sandbox: own },
  ),
  refuses(refreshSandboxToken, "a sandbox that is gone", {}, NOT_FOUND, "sandbox not found", {
    sandbox: nobody,
  }),
  refuses(
    refreshSandboxToken,
    "too many services",
    { extensionServiceNames: names(limits.extensionNames + 1) },
    INVALID_ARGUMENT,
    `at most ${limits.extensionNames} extension service names are allowed`,
    { sandbox: own },
  ),
  refuses(
    refreshSandboxToken,
    "a service without a name",
    { extensionServiceNames: [""] },
    INVALID_ARGUMENT,
    "extension service names must not be empty",
    { sandbox: own },
  ),
  refuses(
    refreshSandboxToken,
    "a service twice",
    { extensionServiceNames: ["a", "b", "a"] },
    INVALID_ARGUMENT,
    "duplicate extension service name 'a'",
    { sandbox: own },
  ),
  refuses(
    refreshSandboxToken,
    "a service that its policy does not name",
    { extensionServiceNames: ["scanner"] },
    PERMISSION_DENIED,
    "extension service 'scanner' is not selected by the sandbox policy",
    { sandbox: own },
  ),
]
