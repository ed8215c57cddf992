/** Byte counts for people, in powers of 1024: `812 B`, `1.4 MiB`. */
const units = ["KiB", "MiB", "GiB", "TiB"] as const

export const formatBytes = (bytes: number): string => {
  if (bytes < 1_024) return `${bytes} B`
  let value = bytes
  let unit: string = "B"
  for (const next of units) {
    if (value < 1_024) break
    value /= 1_024
    unit = next
  }
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${unit}`
}
