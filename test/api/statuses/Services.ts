/** Services (contract 1.3). */
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { refuses, type StatusRow } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED } = Status

const portText = "target_port must be in 1..=65535"

export const serviceRows: ReadonlyArray<StatusRow> = [
  ...[0, 65_536, 4_294_967_295].map((targetPort) =>
    refuses(
      method.exposeService,
      `the port ${targetPort}`,
      { sandbox: "a", targetPort },
      INVALID_ARGUMENT,
      portText,
    ),
  ),
  refuses(
    method.exposeService,
    "a service with two hyphens in a row",
    { sandbox: "a", service: "a--b", targetPort: 80 },
    INVALID_ARGUMENT,
    "service must not contain '--'",
  ),
  refuses(
    method.exposeService,
    "a service with a long name",
    { sandbox: "a", service: "a".repeat(20), targetPort: 80 },
    INVALID_ARGUMENT,
    "service must be at most 19 characters",
  ),
  ...["Upper", "-a", "a-", "a.b"].map((service) =>
    refuses(
      method.exposeService,
      `a service called ${service}`,
      { sandbox: "a", service, targetPort: 80 },
      INVALID_ARGUMENT,
      /DNS label/,
    ),
  ),
  refuses(
    method.exposeService,
    "a sandbox without a name",
    { targetPort: 80 },
    INVALID_ARGUMENT,
    "name is required",
  ),
  refuses(
    method.exposeService,
    "a sandbox that is not there",
    { sandbox: "nobody", targetPort: 80 },
    NOT_FOUND,
    "sandbox not found",
  ),
  refuses(
    method.exposeService,
    "a workspace that is not there",
    { sandbox: "nobody", targetPort: 80, workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  refuses(
    method.exposeService,
    "a sandbox that asks",
    { sandbox: "services-own", targetPort: 80 },
    PERMISSION_DENIED,
    "sandbox principals may not call this method",
    { sandbox: (world) => world.sandbox("services-own") },
  ),
  refuses(
    method.getService,
    "a sandbox without that service",
    { sandbox: "nobody", service: "web" },
    NOT_FOUND,
    "service endpoint not found",
  ),
  refuses(
    method.listServices,
    "a workspace besides all of them",
    { allWorkspaces: true, workspace: "default" },
    INVALID_ARGUMENT,
    "all_workspaces and workspace are mutually exclusive",
  ),
  refuses(
    method.listServices,
    "a sandbox besides all workspaces",
    { allWorkspaces: true, sandbox: "a" },
    INVALID_ARGUMENT,
    "all_workspaces and sandbox are mutually exclusive",
  ),
  refuses(
    method.deleteService,
    "a workspace that is not there",
    { sandbox: "a", workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
]
