/** Numbers about numbers. Pure. */

/** Nearest rank; `share` between 0 and 1. NaN of nothing. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The median over rounds of one series divided by another of the same rounds: noise of a round cancels out. */
export const medianRatio = (values: ReadonlyArray<number>, floors: ReadonlyArray<number>): number =>
  median(values.map((value, round) => value / (floors[round] ?? Number.NaN)))

/** How far the middle half of the rounds spreads, as a share of the median: the noise of a series. */
export const spread = (values: ReadonlyArray<number>): number =>
  (percentile(values, 0.75) - percentile(values, 0.25)) / median(values)

/** Three significant digits; larger numbers without a fraction. */
export const short = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}
