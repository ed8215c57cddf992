import { limits } from "../../domain/Limits.ts"

/** Puts a command together that is too long for one argument, and runs it without leaving arguments to it. */
const joined = 'IFS=; c="$*"; unset IFS; set --; eval "$c"'

/** UTF-16 units of one part: at most three bytes each, below what the kernel takes as one argument. */
const partUnits = Math.floor(limits.environmentStringBytes / 3) - 1

/** What follows `sh -c` to run a command of any length that an exec may have. */
export const shellArguments = (command: string): ReadonlyArray<string> => {
  if (Buffer.byteLength(command) <= limits.environmentStringBytes) return [command]
  const parts: string[] = []
  for (let at = 0; at < command.length; ) {
    const end = at + partUnits
    // A character of two units is not cut.
    const cut = /[\ud800-\udbff]/.test(command.charAt(end - 1)) ? end + 1 : end
    parts.push(command.slice(at, cut))
    at = cut
  }
  return [joined, "sh", ...parts]
}
