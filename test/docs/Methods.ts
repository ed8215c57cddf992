/** The methods of the wire: who may call them, and which are served. */
import type { DescMethod, DescService } from "@bufbuild/protobuf"
import { type Access, adminAccess, inferenceAccess, openShellAccess } from "../../src/api/Access.ts"
import { methodPaths } from "../../src/api/Api.ts"
import { methodPath } from "../../src/wire/grpc/Typed.ts"
import { Admin } from "../../src/wire/holdfast-v1/Generated.ts"
import { Inference, OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { code, page, table } from "./Markdown.ts"

const callers = {
  anyone: "anyone",
  user: "users",
  sandbox: "sandboxes, for themselves",
  either: "users; sandboxes, for themselves",
} as const satisfies Readonly<Record<Access["caller"], string>>

const kinds = {
  unary: "one message each way",
  server_streaming: "stream of answers",
  client_streaming: "stream of requests",
  bidi_streaming: "streams both ways",
} as const satisfies Readonly<Record<DescMethod["methodKind"], string>>

const served = new Set(methodPaths)

const serviceTable = (service: DescService, access: Readonly<Record<string, Access>>): string => {
  const rows = service.methods.map((method) => {
    const rule = access[method.localName]
    if (rule === undefined) throw new Error(`${method.name} has no access rule`)
    const scope = "scope" in rule ? (rule.scope ?? "") : ""
    const role = "role" in rule ? (rule.role ?? "") : ""
    return [
      code(method.name),
      kinds[method.methodKind],
      callers[rule.caller],
      code(scope),
      role,
      served.has(methodPath(method)) ? "yes" : "no",
    ]
  })
  return [
    `## ${service.typeName}`,
    table(["method", "messages", "callers", "scope", "role", "served"], rows),
  ].join("\n\n")
}

export const methodsPage = (): string =>
  page(
    "Methods",
    "Who may call what, from `src/api/Access.ts`. Scope and role are what users need. A method that is not served " +
      "answers `UNIMPLEMENTED` with its name.",
    serviceTable(OpenShell, openShellAccess),
    serviceTable(Inference, inferenceAccess),
    serviceTable(Admin, adminAccess),
  )
