/**
 * Objects against the API of Kubernetes: each becomes a literal of its type, generated from Kubernetes' OpenAPI
 * description, and the compiler reports missing fields, wrong types, and fields that do not exist.
 */
import path from "node:path"
import ts from "typescript"
import { root } from "../check/Step.ts"
import { isObject, type Manifest } from "./Compose.ts"

const file = path.join(root, "test/k8s/Rendered.ts")

/** `rbac.authorization.k8s.io/v1` → `rbac/v1`, `v1` → `core/v1` */
const moduleOf = (apiVersion: string): string => {
  const [group = "", version] = apiVersion.split("/")
  return version === undefined ? `core/${group}` : `${group.split(".")[0]}/${version}`
}

export const labelOf = (manifest: Manifest): string => {
  const name = isObject(manifest.metadata) ? manifest.metadata.name : undefined
  return `${typeof manifest.kind === "string" ? manifest.kind : "object without kind"} ${typeof name === "string" ? name : "without name"}`
}

const declare = (manifest: Manifest, index: number): string => {
  const { apiVersion, kind } = manifest
  if (typeof apiVersion !== "string" || typeof kind !== "string" || !/^[A-Z]\w+$/.test(kind))
    throw new Error(`${labelOf(manifest)}: apiVersion and kind are required`)
  const module = JSON.stringify(`kubernetes-types/${moduleOf(apiVersion)}.js`)
  return [
    `import type { ${kind} as T${index} } from ${module}`,
    `export const object${index}: T${index} & { apiVersion: string; kind: string } = ${JSON.stringify(manifest, null, 1)}`,
  ].join("\n")
}

const compile = (text: string): ReadonlyArray<ts.Diagnostic> => {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.fileExists = (name) => name === file || fileExists(name)
  host.readFile = (name) => (name === file ? text : readFile(name))
  host.getSourceFile = (name, language, ...rest) =>
    name === file ? ts.createSourceFile(name, text, language) : getSourceFile(name, language, ...rest)
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))
}

/** One line for each way in which an object is not what the API takes. */
export const schemaProblems = (manifests: ReadonlyArray<Manifest>): ReadonlyArray<string> => {
  const parts = manifests.map(declare)
  const starts = parts.map((_, index) => parts.slice(0, index).join("\n").length)
  const text = parts.join("\n")
  return compile(text).map((diagnostic) => {
    const at = diagnostic.start ?? 0
    const index = starts.findLastIndex((start) => start <= at)
    const manifest = manifests[index]
    const line = text.slice(text.lastIndexOf("\n", at) + 1).split("\n", 1)[0] ?? ""
    const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, " ")
    return `${manifest === undefined ? "manifests" : labelOf(manifest)}: ${line.trim()}: ${message}`
  })
}
