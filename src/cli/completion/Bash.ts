import { allCommands, type CommandOutline, namesCommand } from "./Outline.ts"

const words = (list: ReadonlyArray<string>): string => list.join(" ")

/** One `case` label per spelling of the child. */
const steps = (outline: CommandOutline): ReadonlyArray<string> =>
  outline.children.map((child) => {
    const labels = [child.name, ...child.aliases].map((name) => `"${outline.path} ${name}"`)
    return `      ${labels.join("|")}) path="${child.path}";;`
  })

const optionWords = ({ options }: CommandOutline): string =>
  words(options.flatMap(({ long, short }) => (short === undefined ? [long] : [short, long])))

const operands = (outline: CommandOutline): string => {
  if (outline.children.length > 0) {
    return words(outline.children.flatMap((child) => [child.name, ...child.aliases]))
  }
  const names = namesCommand(outline.operand)
  if (names !== undefined) return `$(${names})`
  return outline.operand === "shell" ? "bash zsh fish" : ""
}

export const bashCompletion = (root: CommandOutline): string => {
  const commands = allCommands(root)
  const valued = new Map<string, ReadonlyArray<string>>()
  for (const { options } of commands) {
    for (const { long, short, takesValue, values } of options) {
      if (!takesValue) continue
      valued.set(long, values)
      if (short !== undefined) valued.set(short, values)
    }
  }
  const closed = [...valued].filter(([, values]) => values.length > 0)
  return `# bash completion for holdfast
_holdfast() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local path=holdfast word index options="" operands=""
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    [[ $word == -- ]] && return
    case "$path $word" in
${commands.flatMap(steps).join("\n")}
    esac
  done
  case $previous in
${closed.map(([flag, values]) => `    ${flag}) COMPREPLY=($(compgen -W "${words(values)}" -- "$current")); return;;`).join("\n")}
    ${[...valued.keys()].filter((flag) => !closed.some(([name]) => name === flag)).join("|")}) return;;
  esac
  case $path in
${commands.map((outline) => `    "${outline.path}") options="${optionWords(outline)}";;`).join("\n")}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    return
  fi
  case $path in
${commands
  .filter((outline) => operands(outline) !== "")
  .map((outline) => `    "${outline.path}") operands="${operands(outline)}";;`)
  .join("\n")}
  esac
  COMPREPLY=($(compgen -W "$operands" -- "$current"))
}
complete -o default -F _holdfast holdfast
`
}
