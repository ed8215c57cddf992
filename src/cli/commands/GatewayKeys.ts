import { Effect } from "effect"
import { createClusterKeys, issuePeerCertificate } from "../../gateway/ClusterKeys.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { print } from "../Output.ts"

const textOf = ({ options }: Invocation, name: string): string | undefined => {
  const value = options[name]
  return typeof value === "string" && value !== "" ? value : undefined
}

const lines = (texts: ReadonlyArray<string>) => Effect.as(print(texts.map((text) => `${text}\n`).join("")), 0)

export const createKeys: Implementation = (invocation) =>
  createClusterKeys({
    out: textOf(invocation, "out") ?? ".",
    clusterId: textOf(invocation, "clusterId"),
  }).pipe(Effect.flatMap(lines))

export const issueCertificate: Implementation = (invocation) =>
  issuePeerCertificate({
    caDir: textOf(invocation, "caDir") ?? ".",
    out: textOf(invocation, "out") ?? ".",
    name: textOf(invocation, "name"),
    clusterId: textOf(invocation, "clusterId"),
  }).pipe(Effect.flatMap(lines))
