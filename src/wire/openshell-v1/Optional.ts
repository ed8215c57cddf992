/** A field that is there only where it has a value: what an optional field of protobuf is in a plain object. */
export const optional = <Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } => {
  const result: { [K in Key]?: Value } = {}
  if (value !== undefined) result[key] = value
  return result
}
