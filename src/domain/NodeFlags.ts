/** Flags with which gateways and supervisors are started; `main.ts` sets those that Node takes later. */
import { limits } from "./Limits.ts"

export const nodeFlags: ReadonlyArray<string> = [`--max-semi-space-size=${limits.youngHeapMb}`]
