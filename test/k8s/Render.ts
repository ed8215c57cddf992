/** Renders the kustomizations and checks what comes out against the API of Kubernetes. */
import { spawnSync } from "node:child_process"
import path from "node:path"
import { isDeepStrictEqual } from "node:util"
import { root, run } from "../check/Step.ts"
import { compose, type Manifest, parseManifests } from "./Compose.ts"
import { labelOf, schemaProblems } from "./Schemas.ts"

const folders = ["k8s/base", "k8s/overlays/example"] as const

const hasKubectl = (): boolean =>
  spawnSync("kubectl", ["version", "--client"], { timeout: 30_000 }).status === 0

const byLabel = (manifests: ReadonlyArray<Manifest>): ReadonlyMap<string, Manifest> =>
  new Map(manifests.map((manifest) => [labelOf(manifest), manifest]))

/** What kubectl renders other than `compose` does. */
const disagreements = async (folder: string, timeoutMs: number): Promise<ReadonlyArray<string>> => {
  const { passed, output } = await run(["kubectl", "kustomize", folder], { timeoutMs })
  if (!passed) return [`${folder}: ${output.trim()}`]
  const ours = byLabel(compose(path.join(root, folder)))
  const theirs = byLabel(parseManifests(output, folder))
  return [...new Set([...ours.keys(), ...theirs.keys()])]
    .filter((label) => !isDeepStrictEqual(ours.get(label), theirs.get(label)))
    .map((label) => `${folder}: test/k8s/Compose.ts and kubectl disagree about ${label}`)
}

/** Problems of all kustomizations. With kubectl on the machine, its rendering counts too. */
export const manifestsRender = async (timeoutMs: number): Promise<ReadonlyArray<string>> => {
  const kubectl = hasKubectl()
  const found: Array<string> = []
  for (const folder of folders) {
    if (kubectl) found.push(...(await disagreements(folder, timeoutMs)))
    found.push(...schemaProblems(compose(path.join(root, folder))).map((problem) => `${folder}: ${problem}`))
  }
  return found
}
