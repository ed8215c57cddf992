/** Flags with which Node is started; `main.ts` sets those that it takes later. */
import { limits } from "./Limits.ts"

export const gatewayNodeFlags: ReadonlyArray<string> = [`--max-semi-space-size=${limits.youngHeapMb}`]

export const supervisorNodeFlags: ReadonlyArray<string> = [
  `--max-semi-space-size=${limits.supervisorYoungHeapMb}`,
]
