/**
 * What kustomize makes of our kustomizations, for machines without kubectl. It knows the fields that they use and
 * refuses all others; where kubectl is present, the check compares the two.
 */
import { readFileSync, statSync } from "node:fs"
import path from "node:path"
import { Schema } from "effect"
import { parseAllDocuments } from "yaml"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
export interface Manifest {
  readonly [key: string]: Json
}

const Kustomization = Schema.Struct({
  apiVersion: Schema.Literal("kustomize.config.k8s.io/v1beta1"),
  kind: Schema.Literal("Kustomization"),
  namespace: Schema.optional(Schema.String),
  resources: Schema.Array(Schema.String),
  images: Schema.optional(
    Schema.Array(
      Schema.Struct({ name: Schema.String, newName: Schema.String, newTag: Schema.optional(Schema.String) }),
    ),
  ),
})
type Kustomization = typeof Kustomization.Type

export const isObject = (value: unknown): value is Manifest =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Documents of a YAML text; each must be a mapping. */
export const parseManifests = (text: string, where: string): ReadonlyArray<Manifest> =>
  [...parseAllDocuments(text)].map((document) => {
    if (document.errors.length > 0) throw new Error(`${where}: ${document.errors.join("; ")}`)
    const value: unknown = document.toJS()
    if (!isObject(value)) throw new Error(`${where}: a document is not a mapping`)
    return value
  })

/** The same value with every mapping changed by `change`, innermost first. */
const mapObjects = (value: Json, change: (object: Manifest) => Manifest): Json => {
  if (Array.isArray(value)) return value.map((item: Json) => mapObjects(item, change))
  if (!isObject(value)) return value
  return change(
    Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapObjects(inner, change)])),
  )
}

const everywhere = (manifest: Manifest, change: (object: Manifest) => Manifest): Manifest => {
  const changed = mapObjects(manifest, change)
  return isObject(changed) ? changed : manifest
}

/** None of our kinds stands outside a namespace. */
const inNamespace = (manifest: Manifest, namespace: string): Manifest => ({
  ...everywhere(manifest, (object) =>
    object.kind === "ServiceAccount" && object.apiVersion === undefined ? { ...object, namespace } : object,
  ),
  metadata: { ...(isObject(manifest.metadata) ? manifest.metadata : {}), namespace },
})

const withImages = (manifest: Manifest, images: NonNullable<Kustomization["images"]>): Manifest =>
  everywhere(manifest, (object) => {
    const image = images.find(({ name }) => name === object.image)
    if (image === undefined) return object
    return {
      ...object,
      image: image.newTag === undefined ? image.newName : `${image.newName}:${image.newTag}`,
    }
  })

/** The objects of the kustomization in `folder`. */
export const compose = (folder: string): ReadonlyArray<Manifest> => {
  const file = path.join(folder, "kustomization.yaml")
  const [document] = parseManifests(readFileSync(file, "utf8"), file)
  const kustomization = Schema.decodeUnknownSync(Kustomization, { onExcessProperty: "error" })(document)
  return kustomization.resources
    .flatMap((resource) => {
      const target = path.join(folder, resource)
      return statSync(target).isDirectory()
        ? compose(target)
        : parseManifests(readFileSync(target, "utf8"), target)
    })
    .map((manifest) => withImages(manifest, kustomization.images ?? []))
    .map((manifest) =>
      kustomization.namespace === undefined ? manifest : inNamespace(manifest, kustomization.namespace),
    )
}
