/** What is in force in a sandbox, including the policy that it was created with and nobody has changed since. */
import { Effect, Option, Schema } from "effect"
import { type Conflict, concurrentModification, type NotFound, type Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { type PolicyRevision, SandboxPolicy } from "../domain/Policy.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { Head } from "../store/ConfigRows.ts"
import { HeadMoved } from "../store/ConfigRows.ts"
import { Configs, type Heads } from "../store/Configs.ts"
import { policyHash } from "./Canonical.ts"

const decode = Schema.decodeUnknownOption(SandboxPolicy)

/** The policy of a sandbox's creation. */
export const createdPolicy = ({ spec }: Pick<Sandbox, "spec">): SandboxPolicy | undefined =>
  spec.policy === undefined ? undefined : Option.getOrUndefined(decode(spec.policy))

const firstRevision = ({ createdAtMs }: Sandbox, policy: SandboxPolicy): PolicyRevision => ({
  version: 1,
  hash: policyHash(policy),
  status: "pending",
  loadError: "",
  createdAtMs,
  loadedAtMs: 0,
  policy,
  provenance: {},
})

const withFirst = (head: Head, { version, hash, policy }: PolicyRevision): Head => ({
  ...head,
  version,
  policy,
  policyHash: hash,
})

/** The policy of the sandbox's creation is its version 1 even before anybody has stored it as such. */
export const effectiveHead = (sandbox: Sandbox, head: Head): Head => {
  if (head.version > 0) return head
  const policy = createdPolicy(sandbox)
  return policy === undefined ? head : withFirst(head, firstRevision(sandbox, policy))
}

/** Repeats what met a concurrent change, a bounded number of times; then the conflict is the caller's. */
export const retrying = <A, E, R>(
  what: string,
  attempt: Effect.Effect<A, E | HeadMoved, R>,
): Effect.Effect<A, Exclude<E, HeadMoved> | Conflict, R> =>
  attempt.pipe(
    Effect.retry({ times: limits.configAttempts - 1, while: (error) => error instanceof HeadMoved }),
    Effect.mapError((error) =>
      error instanceof HeadMoved
        ? concurrentModification(what, error.current)
        : (error as Exclude<E, HeadMoved>),
    ),
  )

/** The heads of a sandbox and of the gateway, after the policy of its creation is stored as version 1. */
export const materialised = (
  sandbox: Sandbox,
): Effect.Effect<Heads, HeadMoved | Conflict | NotFound | Unavailable, Configs> =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const heads = yield* configs.heads(sandbox.id)
    const policy = heads.own.version > 0 ? undefined : createdPolicy(sandbox)
    if (policy === undefined) return heads
    const added = firstRevision(sandbox, policy)
    yield* configs.write({
      scope: sandbox.id,
      from: heads.own,
      to: withFirst(heads.own, added),
      added,
      quiet: true,
    })
    return yield* configs.heads(sandbox.id)
  })
