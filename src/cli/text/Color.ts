/** The few colours in use. Whether to colour at all is decided once, in `Output`. */
const paint =
  (open: number, close: number) =>
  (text: string): string =>
    `\u001b[${open}m${text}\u001b[${close}m`

export const red = paint(31, 39)
export const green = paint(32, 39)
export const yellow = paint(33, 39)
export const cyan = paint(36, 39)
export const dim = paint(2, 22)
export const bold = paint(1, 22)

/** NO_COLOR (no-color.org) and FORCE_COLOR win over the terminal; `--no-color` wins over all. */
export const wantsColor = (options: {
  readonly isTerminal: boolean
  readonly flag: boolean
  readonly environment: Readonly<Record<string, string | undefined>>
}): boolean => {
  if (!options.flag) return false
  if ((options.environment.NO_COLOR ?? "") !== "") return false
  const force = options.environment.FORCE_COLOR ?? ""
  if (force !== "") return force !== "0"
  return options.isTerminal && options.environment.TERM !== "dumb"
}
