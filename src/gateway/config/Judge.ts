/** Finds the settings that do not hold, each with its place. */
import { type Config, type ConfigError, type ConfigProvider, Effect } from "effect"
import { fileKeyOf, flagOf, type SettingName, settingNames, settingOf, variableOf } from "../SettingsTable.ts"
import { type Given, type Problem, placeOf, type Source } from "./Problem.ts"

/** `peerListen` → `PEER_LISTEN`, the name of its `Config`. */
export const configName = (name: SettingName): string => variableOf(name).slice("HOLDFAST_".length)

const flat = (error: ConfigError.ConfigError): ReadonlyArray<ConfigError.ConfigError> =>
  error._op === "And" || error._op === "Or" ? [...flat(error.left), ...flat(error.right)] : [error]

const messageOf = (name: SettingName, error: ConfigError.ConfigError, source: Source | undefined): string => {
  const { secret } = settingOf(name)
  if (source !== undefined && secret === true) return "this value cannot be used"
  if (source !== undefined || error._op !== "MissingData")
    return "message" in error ? error.message : "this value cannot be used"
  return secret === true
    ? `not set: give it, or the flag --${flagOf(name)}`
    : `not set: give it, the flag --${flagOf(name)}, or ${fileKeyOf(name).join(".")} in the configuration file`
}

/** Each setting by itself: an error of all together does not always say whose it is. */
export const problemsOf = (
  settings: Readonly<Record<SettingName, Config.Config<unknown>>>,
  provider: ConfigProvider.ConfigProvider,
  given: ReadonlyMap<SettingName, Given>,
): Effect.Effect<ReadonlyArray<Problem>> =>
  Effect.map(
    Effect.forEach(settingNames, (name) => {
      const source = given.get(name)?.source
      return provider.load(settings[name]).pipe(
        Effect.as<ReadonlyArray<Problem>>([]),
        Effect.catchAll((error) =>
          Effect.succeed(
            flat(error).map((one) => ({
              where: placeOf(name, source),
              message: messageOf(name, one, source),
            })),
          ),
        ),
      )
    }),
    (found) => found.flat(),
  )
