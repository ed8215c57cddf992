/** The nearest of some names to a mistyped one. */

/** Insertions, deletions, substitutions and swaps of neighbours that turn one text into the other. */
export const editDistance = (left: string, right: string): number => {
  const a = [...left]
  const b = [...right]
  let beforePrevious: Array<number> = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforePrevious[j - 2] ?? 0) + 1)
      }
      current.push(best)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] ?? 0
}

/** The nearest candidate, if it is near enough to be what was meant: a third of the letters, at least one. */
export const nearest = (wanted: string, candidates: Iterable<string>): string | undefined => {
  const allowed = Math.max(1, Math.floor([...wanted].length / 3))
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of candidates) {
    const prefix = wanted.length >= 2 && (name.startsWith(wanted) || wanted.startsWith(name))
    const distance = prefix ? Math.min(1, editDistance(wanted, name)) : editDistance(wanted, name)
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { name, distance }
  }
  return best?.name
}
