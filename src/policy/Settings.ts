/** What may be asked of settings, and of an update of configuration as a whole: pure. */
import { limits } from "../domain/Limits.ts"
import {
  type ConfigUpdate,
  policySettingKey,
  registeredSettings,
  type SettingValue,
} from "../domain/SandboxConfig.ts"

const valueRefusal = (key: string, value: SettingValue): string | undefined => {
  const wanted = registeredSettings.get(key)
  if (wanted === undefined) return `unknown setting key '${key}'`
  if (wanted.type !== value.type)
    return `setting '${key}' expects a ${wanted.type} value, not a ${value.type} value`
  if (wanted.type === "string" && value.type === "string" && !wanted.oneOf.includes(value.value))
    return `setting '${key}' must be one of ${wanted.oneOf.join(", ")}`
  return undefined
}

/** Why a setting cannot be changed so; undefined when it can. */
export const settingRefusal = ({
  settingKey: key,
  settingValue: value,
  deleteSetting,
}: ConfigUpdate): string | undefined => {
  if (key === policySettingKey) return `reserved key '${policySettingKey}': set it as a policy`
  if (!registeredSettings.has(key))
    return `unknown setting key '${key}'; known keys: ${[...registeredSettings.keys()].join(", ")}`
  if (deleteSetting) return undefined
  return value === undefined ? "setting_value is required" : valueRefusal(key, value)
}

/** Why an update is no single change; undefined when it is one. */
export const shapeRefusal = (update: ConfigUpdate): string | undefined => {
  const { policy, settingKey, settingValue, deleteSetting, mergeOperations, global } = update
  const setting = settingKey !== "" || settingValue !== undefined || deleteSetting
  const asked = [policy !== undefined, setting, mergeOperations.length > 0].filter((it) => it).length
  if (asked > 1) return "policy, setting_key and merge_operations are mutually exclusive"
  if (asked === 0) return "one of policy, setting_key or merge_operations is required"
  if (setting && settingKey === "") return "setting_key is required"
  if (deleteSetting && settingValue !== undefined)
    return "setting_value and delete_setting are mutually exclusive"
  if (global && mergeOperations.length > 0) return "merge_operations are for sandbox-scoped updates only"
  if (mergeOperations.length > limits.mergeOperations)
    return `merge_operations exceed ${limits.mergeOperations} entries`
  if (Object.keys(update.annotations).length > limits.mapEntries)
    return `annotations exceed ${limits.mapEntries} entries`
  if (Buffer.byteLength(JSON.stringify(update.annotations)) > limits.policyAnnotationBytes)
    return `annotations exceed ${limits.policyAnnotationBytes} bytes`
  if (!global && update.name === "") return "name is required for sandbox-scoped updates"
  return undefined
}
