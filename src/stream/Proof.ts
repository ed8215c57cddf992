/**
 * Who may resume a stream: whoever knows its secret. The secret is sent once, with the hello that makes the
 * stream; a resume proves that it is known by a MAC over the hello, which an observer cannot use again because
 * the attach count inside must grow.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { authBytes, type HelloFrame, helloClaim, idBytes } from "./Frames.ts"

export interface StreamIdentity {
  /** 128 random bits. Never logged: with the secret it is the stream. */
  readonly id: Buffer
  /** 256 random bits. */
  readonly secret: Buffer
}

export const newIdentity = (): StreamIdentity => ({
  id: randomBytes(idBytes),
  secret: randomBytes(authBytes),
})

/** What gateways may know of a stream, to count its carriers as one: SHA-256 of its id. */
export const carrierKey = (id: Buffer): Buffer => createHash("sha256").update(id).digest()

const context = "holdfast stream resume 1"

const proofOf = (secret: Buffer, hello: Omit<HelloFrame, "auth" | "type">): Buffer =>
  createHmac("sha256", secret).update(context).update(helloClaim(hello)).digest()

export const signHello = (
  { secret }: StreamIdentity,
  hello: Omit<HelloFrame, "auth" | "type">,
): HelloFrame => ({
  ...hello,
  type: "hello",
  auth: hello.mode === "new" ? secret : proofOf(secret, hello),
})

/** Whether the hello comes from whoever made the stream; takes equally long for every wrong proof. */
export const verifyHello = (secret: Buffer, hello: HelloFrame): boolean =>
  timingSafeEqual(hello.auth, hello.mode === "new" ? secret : proofOf(secret, hello))
