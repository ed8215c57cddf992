/** Who calls: a sandbox with its token, or a user; and whether that caller may call that method. */
import { Effect } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { PermissionDenied, Unauthenticated } from "../domain/Errors.ts"
import type { ServerCall } from "../wire/grpc/ServerCall.ts"
import type { Access, Scope } from "./Access.ts"

export interface User {
  readonly kind: "user"
  readonly subject: string
  readonly displayName: string
  readonly roles: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly identityProvider: string
}

export type Principal =
  | User
  | { readonly kind: "sandbox"; readonly sandboxId: string }
  | { readonly kind: "none" }

/** Wire contract 4.1: everything is allowed to whoever reaches a loopback listener. */
export const developer: User = {
  kind: "user",
  subject: "unauthenticated-local-dev",
  displayName: "Unauthenticated Local Dev",
  roles: ["openshell-user", "openshell-admin"],
  scopes: ["openshell:all"],
  identityProvider: "local_dev",
}

/** Wire contract 4.4: the roles that credentials may carry, under OpenShell's default names. */
export const roles = { admin: "openshell-admin", user: "openshell-user" } as const

/** Who needs no membership in any workspace. */
export const isPlatformAdmin = (principal: Principal): boolean =>
  principal.kind === "user" && principal.roles.includes(roles.admin)

const none: Principal = { kind: "none" }
const bearer = /^Bearer (.+)$/i

/** Finds out who makes a call. */
export type Identify = (call: ServerCall) => Effect.Effect<Principal, Unauthenticated, SandboxTokens>

/**
 * By the credentials of the call. `loopbackListener`: the listener is bound to a loopback address, where whoever
 * has none is the development principal.
 */
export const authenticator =
  (loopbackListener: boolean): Identify =>
  (call) =>
    Effect.gen(function* () {
      const authorization = call.metadata.authorization
      const token = authorization === undefined ? undefined : bearer.exec(authorization)?.[1]
      if (token !== undefined) {
        const tokens = yield* SandboxTokens
        const sandboxId = yield* tokens.verify(token)
        return { kind: "sandbox", sandboxId }
      }
      return loopbackListener && call.connection.loopback ? developer : none
    })

const hasScope = (user: User, scope: Scope | undefined) =>
  scope === undefined || user.scopes.includes("openshell:all") || user.scopes.includes(scope)

export const authorize = (
  principal: Principal,
  access: Access,
): Effect.Effect<void, Unauthenticated | PermissionDenied> => {
  if (access.caller === "anyone") return Effect.void
  if (principal.kind === "none")
    return Effect.fail(new Unauthenticated({ message: "missing authorization header" }))
  if (principal.kind === "sandbox")
    return access.caller === "user"
      ? Effect.fail(new PermissionDenied({ message: "sandbox principals may not call this method" }))
      : Effect.void
  if (access.caller === "sandbox")
    return Effect.fail(new PermissionDenied({ message: "this method requires a sandbox principal" }))
  if (!hasScope(principal, access.scope))
    return Effect.fail(new PermissionDenied({ message: `scope '${access.scope}' required` }))
  if (access.role === "platform-admin" && !isPlatformAdmin(principal))
    return Effect.fail(new PermissionDenied({ message: `role '${roles.admin}' required` }))
  return Effect.void
}

/** A sandbox speaks for itself only. */
export const ownSandbox = (principal: Principal, sandboxId: string): Effect.Effect<void, PermissionDenied> =>
  principal.kind !== "sandbox" || principal.sandboxId === sandboxId
    ? Effect.void
    : Effect.fail(
        new PermissionDenied({
          message: "cross-sandbox access denied: principal does not own this sandbox",
        }),
      )

/** The sandbox that calls, where only one may. */
export const sandboxOf = (principal: Principal): Effect.Effect<string, PermissionDenied> =>
  principal.kind === "sandbox"
    ? Effect.succeed(principal.sandboxId)
    : Effect.fail(new PermissionDenied({ message: "supervisor RPCs require a sandbox principal" }))
