/** Finding the sandbox a request is about, with the refusals of wire contract 1.3. */
import { Effect, Option } from "effect"
import { FailedPrecondition, InvalidArgument, NotFound, type Unavailable } from "../domain/Errors.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { Workspaces } from "../store/Workspaces.ts"

export const workspaceOf = (workspace: string): string => (workspace === "" ? "default" : workspace)

const found = (sandbox: Option.Option<Sandbox>): Effect.Effect<Sandbox, NotFound> =>
  Option.match(sandbox, {
    onNone: () => Effect.fail(new NotFound({ message: "sandbox not found" })),
    onSome: Effect.succeed,
  })

export const requireWorkspace = (
  workspace: string,
): Effect.Effect<string, NotFound | Unavailable, Workspaces> =>
  Effect.gen(function* () {
    const name = workspaceOf(workspace)
    const workspaces = yield* Workspaces
    if (!(yield* workspaces.exists(name)))
      return yield* new NotFound({ message: `workspace '${name}' not found` })
    return name
  })

export const byName = (
  name: string,
  workspace: string,
): Effect.Effect<Sandbox, InvalidArgument | NotFound | Unavailable, Sandboxes> =>
  Effect.gen(function* () {
    if (name === "") return yield* new InvalidArgument({ message: "name is required" })
    const sandboxes = yield* Sandboxes
    return yield* Effect.flatMap(sandboxes.getByName(workspaceOf(workspace), name), found)
  })

export const byId = (
  id: string,
  missing = "sandbox_id is required",
): Effect.Effect<Sandbox, InvalidArgument | NotFound | Unavailable, Sandboxes> =>
  Effect.gen(function* () {
    if (id === "") return yield* new InvalidArgument({ message: missing })
    const sandboxes = yield* Sandboxes
    return yield* Effect.flatMap(sandboxes.get(id), found)
  })

export const requireReady = (sandbox: Sandbox): Effect.Effect<void, FailedPrecondition> =>
  sandbox.status.phase === "Ready"
    ? Effect.void
    : Effect.fail(new FailedPrecondition({ message: "sandbox is not ready" }))
