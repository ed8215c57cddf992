/** One text for one content, and what is computed from it. */
import { createHash } from "node:crypto"
import type { SandboxPolicy } from "../domain/Policy.ts"

/** JSON with sorted keys and without what is undefined: equal content has equal text, whatever the order of keys. */
export const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`)
  return `{${fields.join(",")}}`
}

export const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b)

/** SHA-256 of the canonical form, hex. */
export const hashOf = (value: unknown): string => createHash("sha256").update(canonical(value)).digest("hex")

export const policyHash = (policy: SandboxPolicy): string => hashOf(policy)

/**
 * A change detector that peers compare and nothing more: the first eight bytes of a SHA-256, little-endian, as a
 * decimal number (wire contract 3.10).
 */
export const revisionOf = (content: unknown): string =>
  createHash("sha256").update(canonical(content)).digest().readBigUInt64LE(0).toString()
