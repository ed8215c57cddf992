/** Kinds of values that settings have; a refusal shows what was written and what was expected. */
import { Config, ConfigError, Either } from "effect"
import type { HostPort } from "../../cluster/ClusterConfig.ts"

/** `host:port` or `[v6]:port`; undefined otherwise. */
const parseHostPort = (text: string): HostPort | undefined => {
  const match = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port > 65_535) return undefined
  return { host: match[1].replace(/^\[(.*)\]$/, "$1"), port }
}

const configError = (name: string, message: string) => ConfigError.InvalidData([name], message)

const asHostPort = (name: string, text: string): Either.Either<HostPort, ConfigError.ConfigError> => {
  const address = parseHostPort(text)
  return address === undefined
    ? Either.left(configError(name, `'${text}' is not host:port`))
    : Either.right(address)
}

export const hostPort = (name: string) =>
  Config.string(name).pipe(Config.mapOrFail((text) => asHostPort(name, text)))

export const hostPorts = (name: string) =>
  Config.array(Config.string(), name).pipe(
    Config.mapOrFail((texts) => Either.all(texts.map((text) => asHostPort(name, text)))),
  )

/** RFC 1035, 2.3.4 */
const domainName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/

export const domains = (name: string) =>
  Config.array(Config.string(), name).pipe(
    Config.mapOrFail((texts) => {
      const [first, ...others] = texts.map((text) => text.trim().toLowerCase())
      const wrong = [first ?? "", ...others].find((text) => !domainName.test(text))
      return first === undefined || wrong !== undefined
        ? Either.left(configError(name, `'${wrong ?? ""}' is not a domain name`))
        : Either.right([first, ...others] as const)
    }),
  )

export const atLeast = (name: string, least: number) =>
  Config.integer(name).pipe(
    Config.validate({ message: `expected ${least} or more`, validation: (value) => value >= least }),
  )
