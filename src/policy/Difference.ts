/** What differs between two policies, for people. */
import type { NetworkRules, SandboxPolicy } from "../domain/Policy.ts"
import { same } from "./Canonical.ts"

export interface Difference {
  readonly addedRules: ReadonlyArray<string>
  readonly removedRules: ReadonlyArray<string>
  readonly changedRules: ReadonlyArray<string>
  /** Sections besides the network rules. */
  readonly changedSections: ReadonlyArray<string>
}

const rulesOf = (policy: SandboxPolicy | undefined): NetworkRules => policy?.networkPolicies ?? {}

const sections = ["version", "filesystem", "landlock", "process", "networkMiddlewares"] as const

export const difference = (
  before: SandboxPolicy | undefined,
  after: SandboxPolicy | undefined,
): Difference => {
  const old = rulesOf(before)
  const now = rulesOf(after)
  return {
    addedRules: Object.keys(now).filter((name) => !Object.hasOwn(old, name)),
    removedRules: Object.keys(old).filter((name) => !Object.hasOwn(now, name)),
    changedRules: Object.keys(now).filter((name) => Object.hasOwn(old, name) && !same(old[name], now[name])),
    changedSections: sections.filter((name) => !same(before?.[name], after?.[name])),
  }
}

/** `+a -b ~c ~filesystem`; empty when nothing differs. */
export const describe = ({ addedRules, removedRules, changedRules, changedSections }: Difference): string =>
  [
    ...addedRules.map((name) => `+${name}`),
    ...removedRules.map((name) => `-${name}`),
    ...[...changedRules, ...changedSections].map((name) => `~${name}`),
  ].join(" ")
