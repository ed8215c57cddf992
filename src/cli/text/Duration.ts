/** Lengths of time as people write them: `250ms`, `30s`, `5m`, `1h30m`, `2d`; a bare number is seconds. */
const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Milliseconds, or undefined for text that is no length of time. */
export const parseDurationMs = (text: string): number | undefined => {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1_000)
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * (unitMs[unit ?? ""] ?? 0)
  }
  return Number.isSafeInteger(Math.round(totalMs)) ? Math.round(totalMs) : undefined
}

/** An age in at most two units, rounded down, as kubectl shows it: `45s`, `5m30s`, `3h20m`, `6d4h`, `40d`. */
export const formatAge = (ageMs: number): string => {
  const seconds = Math.max(0, Math.floor(ageMs / 1_000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s")
  if (hours < 3) return `${minutes}m`
  if (hours < 8) return two(hours, "h", minutes % 60, "m")
  if (days < 2) return `${hours}h`
  if (days < 8) return two(days, "d", hours % 24, "h")
  return `${days}d`
}

const two = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`

/** A length of time in one unit, for messages: `750ms`, `12s`, `5m`. */
export const formatDuration = (durationMs: number): string => {
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`
  if (durationMs % 60_000 === 0) return `${durationMs / 60_000}m`
  return `${Math.round(durationMs / 100) / 10}s`
}
