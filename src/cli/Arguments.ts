/** What the command line accepts as a value: parsers for commander that refuse with a sentence. */
import { InvalidArgumentError } from "commander"
import { parseDurationMs } from "./text/Duration.ts"

export const durationMs = (text: string): number => {
  const value = parseDurationMs(text)
  if (value === undefined) throw new InvalidArgumentError("Write a length of time such as 30s, 5m or 1h30m.")
  return value
}

export const wholeNumber =
  (minimum: number, maximum: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= minimum && value <= maximum)) {
      throw new InvalidArgumentError(`Write a whole number from ${minimum} to ${maximum}.`)
    }
    return value
  }

/** One of some words, in any case. */
export const oneOf =
  (...words: ReadonlyArray<string>) =>
  (text: string): string => {
    const word = words.find((candidate) => candidate.toLowerCase() === text.toLowerCase())
    if (word === undefined) throw new InvalidArgumentError(`Write one of ${words.join(", ")}.`)
    return word
  }

/** Collects a repeatable `KEY=VALUE` option; a later key wins, as in a shell. */
export const keyValue =
  (what: string) =>
  (text: string, previous: Readonly<Record<string, string>> | undefined): Record<string, string> => {
    const split = text.indexOf("=")
    if (split <= 0) throw new InvalidArgumentError(`Write ${what} as KEY=VALUE.`)
    return { ...previous, [text.slice(0, split)]: text.slice(split + 1) }
  }

/** Collects a repeatable option. */
export const repeated = (text: string, previous: ReadonlyArray<string> | undefined): Array<string> => [
  ...(previous ?? []),
  text,
]

/** Collects a repeatable `-l key=value` selector; several mean all of them. */
export const labelSelector = (text: string, previous: string | undefined): string => {
  for (const part of text.split(",")) {
    if (!/^[^=!<>\s,]+=[^=!<>\s,]*$/.test(part)) {
      throw new InvalidArgumentError("Write a selector as key=value, several joined by commas.")
    }
  }
  return previous === undefined ? text : `${previous},${text}`
}

export interface ForwardSpec {
  /** Local address to listen on; undefined leaves it to `--address`. */
  readonly host: string | undefined
  /** 0 asks the system for a free port. */
  readonly localPort: number
  readonly remotePort: number
}

/** `REMOTE`, `LOCAL:REMOTE`, `:REMOTE` (any free port) or `HOST:LOCAL:REMOTE`; IPv6 hosts in brackets. */
export const parseForwardSpec = (text: string): ForwardSpec | undefined => {
  const match = /^(?:(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]+):)?(\d*):)?(\d+)$/.exec(text)
  if (match === null) return undefined
  const remotePort = Number(match[3])
  const localPort = match[2] === undefined ? remotePort : match[2] === "" ? 0 : Number(match[2])
  if (remotePort < 1 || remotePort > 65_535 || localPort > 65_535) return undefined
  return { host: match[1]?.replace(/^\[|\]$/g, ""), localPort, remotePort }
}

export const forwardSpecs = (text: string, previous: ReadonlyArray<ForwardSpec> | undefined) => {
  const spec = parseForwardSpec(text)
  if (spec === undefined) {
    throw new InvalidArgumentError("Write PORT, LOCAL:REMOTE, :REMOTE or HOST:LOCAL:REMOTE.")
  }
  return [...(previous ?? []), spec]
}
