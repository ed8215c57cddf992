import { allCommands, type CommandOutline, namesCommand, type OptionOutline } from "./Outline.ts"

/** A word inside single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** `name:description` for _describe; colons of the name are escaped, the description is the rest. */
const described = (name: string, description: string): string =>
  quoted(`${name.replaceAll(":", "\\:")}:${description}`)

const optionEntries = (options: ReadonlyArray<OptionOutline>): string =>
  options
    .flatMap(({ long, short, description }) =>
      (short === undefined ? [long] : [short, long]).map((name) => described(name, description)),
    )
    .join(" ")

const childEntries = (outline: CommandOutline): string =>
  outline.children.map((child) => described(child.name, child.description)).join(" ")

const steps = (outline: CommandOutline): ReadonlyArray<string> =>
  outline.children.map((child) => {
    const labels = [child.name, ...child.aliases].map((name) => quoted(`${outline.path} ${name}`))
    return `      ${labels.join("|")}) at=${quoted(child.path)};;`
  })

const operandsOf = (outline: CommandOutline): string => {
  if (outline.children.length > 0) {
    return `items=(${childEntries(outline)}); _describe -t commands command items; return`
  }
  const names = namesCommand(outline.operand)
  if (names !== undefined) return `items=(\${(f)"$(${names})"}); compadd -a items; _files; return`
  return outline.operand === "shell" ? "compadd bash zsh fish; return" : "_files; return"
}

const valuedBranches = (commands: ReadonlyArray<CommandOutline>): ReadonlyArray<string> => {
  const branches = new Map<string, string>()
  for (const { options } of commands) {
    for (const { long, short, takesValue, values } of options) {
      if (!takesValue) continue
      const action = values.length > 0 ? `compadd ${values.join(" ")}; return` : "_files; return"
      for (const name of short === undefined ? [long] : [short, long]) branches.set(name, action)
    }
  }
  return [...branches].map(([name, action]) => `    ${name}) ${action};;`)
}

export const zshCompletion = (root: CommandOutline): string => {
  const commands = allCommands(root)
  return `#compdef holdfast
_holdfast() {
  local at=holdfast word
  local -a items
  for word in \${words[2,CURRENT-1]}; do
    if [[ $word == -- ]]; then _files; return; fi
    case "$at $word" in
${commands.flatMap(steps).join("\n")}
    esac
  done
  case \${words[CURRENT-1]} in
${valuedBranches(commands).join("\n")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    case $at in
${commands.map((outline) => `      ${quoted(outline.path)}) items=(${optionEntries(outline.options)});;`).join("\n")}
    esac
    _describe -t options option items
    return
  fi
  case $at in
${commands.map((outline) => `    ${quoted(outline.path)}) ${operandsOf(outline)};;`).join("\n")}
  esac
}
if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`
}
