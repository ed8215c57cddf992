/**
 * What the streams of a drill carry: bytes that follow from a seed and their position, so that whoever receives
 * some can say where they belong. Also runs inside sandboxes (SandboxProgram.ts), so it imports nothing.
 */

/** A sequence without end. */
export interface Content {
  /** Writes the bytes from `position` on into the whole of `target`. */
  readonly fill: (position: number, target: Uint8Array) => void
}

/** The finalizer of MurmurHash3: neighbouring numbers get unrelated words, and no two the same. */
const mix = (value: number): number => {
  let word = value
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
  return word ^ (word >>> 16)
}

/** Pseudo-random bytes; a run of 16 appears once in 16 GiB. */
export const randomContent = (seed: number): Content => {
  const key = mix(seed ^ 0x9e3779b9)
  return {
    fill: (position, target) => {
      let at = 0
      while (at < target.length) {
        const absolute = position + at
        let word = mix(Math.floor(absolute / 4) ^ key) >>> (8 * (absolute % 4))
        for (let left = 4 - (absolute % 4); left > 0 && at < target.length; left--) {
          target[at] = word & 0xff
          word >>>= 8
          at += 1
        }
      }
    },
  }
}

/** Lines of one length, each made from its index. */
export const lineContent = (lineBytes: number, line: (index: number) => string): Content => ({
  fill: (position, target) => {
    let at = 0
    while (at < target.length) {
      const index = Math.floor((position + at) / lineBytes)
      const text = line(index)
      const from = position + at - index * lineBytes
      const until = Math.min(lineBytes, from + target.length - at)
      for (let column = from; column < until; column++) target[at + column - from] = text.charCodeAt(column)
      at += until - from
    }
  },
})

/** 16 hexadecimal digits that follow from a seed and an index. */
export const wordOf = (seed: number, index: number): string => {
  const bytes = new Uint8Array(8)
  randomContent(seed).fill(index * 8, bytes)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}
