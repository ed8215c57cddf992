/** The layers of `src`: what may import what. Explained in docs/decisions/001-layers.md. */
import path from "node:path"
import { type Import, importsOf, type Source } from "./Sources.ts"

/** A folder imports from those before it only. */
export const layers = [
  "domain",
  "wire",
  "observe",
  "stream",
  "store",
  "policy",
  "cluster",
  "auth",
  "driver",
  "sandbox",
  "edge",
  "reconcile",
  "api",
  "gateway",
  "supervisor",
  "client",
  "cli",
  "local",
  "drill",
  "drill",
  "main.ts",
] as const

type Layer = (typeof layers)[number]

/** Programs of their own beside the gateway: they share the wire and the streams with it and nothing else. */
const narrow: Partial<Record<Layer, ReadonlyArray<Layer>>> = {
  supervisor: ["domain", "wire", "observe", "stream"],
  client: ["domain", "wire", "observe", "stream"],
}

const isLayer = (name: string): name is Layer => layers.some((layer) => layer === name)

const layerOf = (file: string): string => file.split("/")[1] ?? ""

/** `@scope/name` or `name` of a bare specifier. */
const packageOf = (specifier: string): string =>
  specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")

/** What speaks protobuf: above the wire there are values of the domain only (docs/decisions/001-layers.md). */
const speaksProtobuf = (target: string): boolean =>
  /^src\/wire\/([^/]+\/gen\/|[^/]+\/Generated\.ts$|grpc\/(Typed|Protobuf)\.ts$)/.test(target)

/** One version of a wire knows nothing of another, so that either can go. */
const versionOf = (file: string): string | undefined => /^src\/wire\/([^/]+-v\d+)\//.exec(file)?.[1]

const problemOf = (
  from: Layer,
  file: string,
  { specifier }: Import,
  dependencies: ReadonlySet<string>,
): string | undefined => {
  if (specifier.startsWith("node:")) return undefined
  if (!specifier.startsWith(".")) {
    const name = packageOf(specifier)
    if (name === "@bufbuild/protobuf" && from !== "wire") return "names protobuf above the wire"
    return dependencies.has(name) ? undefined : `imports ${name}, which is not among the dependencies`
  }
  const target = path.posix.join(path.posix.dirname(file), specifier)
  if (target === "package.json") return undefined
  const to = layerOf(target)
  if (!target.startsWith("src/") || !isLayer(to)) return `imports ${target}, which is in no layer`
  if (from !== "wire" && speaksProtobuf(target)) return `names protobuf above the wire: ${target}`
  const [own, other] = [versionOf(file), versionOf(target)]
  if (own !== undefined && other !== undefined && own !== other) return `imports another wire: ${target}`
  if (to === from) return undefined
  const allowed = narrow[from]
  if (allowed !== undefined)
    return allowed.includes(to) ? undefined : `imports ${target}: ${from} may use ${allowed.join(", ")} only`
  return layers.indexOf(to) < layers.indexOf(from) ? undefined : `imports upwards: ${target}`
}

/** One line for each import that breaks the layers. `dependencies`: packages that `src` may use. */
export const layerProblems = (
  sources: ReadonlyArray<Source>,
  dependencies: ReadonlySet<string>,
): ReadonlyArray<string> =>
  sources.flatMap((source) => {
    const from = layerOf(source.file)
    if (!isLayer(from)) return [`${source.file}: is in no layer; name its folder in test/check/Layers.ts`]
    return importsOf(source).flatMap((one) => {
      const problem = problemOf(from, source.file, one, dependencies)
      return problem === undefined ? [] : [`${source.file}:${one.line}: ${problem}`]
    })
  })
