/** Operations that need a vault of credentials, with one that has a key. */
import { Effect, Redacted } from "effect"
import { type UnaryOperation, unary } from "../../src/api/Operation.ts"
import { CredentialVault, layer } from "../../src/auth/CredentialVault.ts"

const key = Redacted.make(Buffer.alloc(32, 7).toString("base64"))

export const withVault = <I, O, R>(operation: UnaryOperation<I, O, R>) =>
  unary(operation.access, (request: I, context) =>
    Effect.flatMap(Effect.provide(CredentialVault, layer({ key, file: undefined })), (vault) =>
      Effect.provideService(operation.handle(request, context), CredentialVault, vault),
    ),
  )
