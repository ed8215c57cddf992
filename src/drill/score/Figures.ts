/** Numbers about numbers. Pure. */

/** Nearest rank; `share` between 0 and 1. Undefined of nothing. */
export const percentile = (values: ReadonlyArray<number>, share: number): number | undefined => {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

export interface Spread {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Rounded up to whole numbers; zeros of nothing. */
export const spreadOf = (values: ReadonlyArray<number>): Spread => ({
  count: values.length,
  p50: Math.ceil(percentile(values, 0.5) ?? 0),
  p99: Math.ceil(percentile(values, 0.99) ?? 0),
  max: Math.ceil(percentile(values, 1) ?? 0),
})

/** The skew over the best that so many whole sessions allow: three sessions on two replicas cannot be even. */
export const relativeSkew = (loads: ReadonlyArray<number>): number => {
  const sum = loads.reduce((left, right) => left + right, 0)
  if (sum === 0) return 1
  const fewest = Math.ceil(sum / loads.length)
  return Math.max(...loads) / fewest
}
