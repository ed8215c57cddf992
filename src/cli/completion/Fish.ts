import { allCommands, type CommandOutline, namesCommand, type OptionOutline } from "./Outline.ts"

const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`

const at = (path: string): string => `-n ${quoted(`test (__holdfast_at) = "${path}"`)}`

const optionLine = (path: string, option: OptionOutline): string => {
  const parts = [`complete -c holdfast ${at(path)} -l ${option.long.replace(/^--/, "")}`]
  if (option.short !== undefined) parts.push(`-s ${option.short.replace(/^-/, "")}`)
  if (option.values.length > 0) parts.push(`-x -a ${quoted(option.values.join(" "))}`)
  else if (option.takesValue) parts.push("-r")
  parts.push(`-d ${quoted(option.description)}`)
  return parts.join(" ")
}

const operandLines = (outline: CommandOutline): ReadonlyArray<string> => {
  const begin = `complete -c holdfast ${at(outline.path)}`
  if (outline.children.length > 0) {
    return outline.children.map(
      (child) => `${begin} -f -a ${quoted(child.name)} -d ${quoted(child.description)}`,
    )
  }
  const names = namesCommand(outline.operand)
  if (names !== undefined) return [`${begin} -a '(${names})'`]
  return outline.operand === "shell" ? [`${begin} -f -a 'bash zsh fish'`] : []
}

const steps = (outline: CommandOutline): ReadonlyArray<string> =>
  outline.children.map((child) => {
    const labels = [child.name, ...child.aliases].map((name) => quoted(`${outline.path} ${name}`))
    return `      case ${labels.join(" ")}\n        set path ${quoted(child.path)}`
  })

export const fishCompletion = (root: CommandOutline): string => {
  const commands = allCommands(root)
  return `# fish completion for holdfast
function __holdfast_at
  set -l path holdfast
  set -l words (commandline -opc)
  for word in $words[2..]
    test "$word" = --; and return 1
    switch "$path $word"
${commands.flatMap(steps).join("\n")}
    end
  end
  echo $path
end
${commands.flatMap((outline) => [...operandLines(outline), ...outline.options.map((option) => optionLine(outline.path, option))]).join("\n")}
`
}
