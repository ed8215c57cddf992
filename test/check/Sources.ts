/** Reads TypeScript files for what the checks of the sources ask: imports, and types that switch checking off. */
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import ts from "typescript"

export interface Source {
  /** Relative to the top of the repository, with forward slashes. */
  readonly file: string
  readonly text: string
}

export interface Found {
  readonly line: number
  readonly what: string
}

export interface Import {
  readonly line: number
  readonly specifier: string
}

const skipped = new Set(["node_modules", "gen"])

/** Every file below a folder whose name ends with one of the endings; generated folders and packages are left out. */
export const filesBelow = (
  root: string,
  folder: string,
  endings: ReadonlyArray<string>,
): ReadonlyArray<string> =>
  readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name)
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : filesBelow(root, file, endings)
    return entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)) ? [file] : []
  })

export const readSources = (root: string, files: ReadonlyArray<string>): ReadonlyArray<Source> =>
  files.map((file) => ({ file, text: readFileSync(path.join(root, file), "utf8") }))

const parse = ({ file, text }: Source): ts.SourceFile =>
  ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS)

const lineOf = (source: ts.SourceFile, node: ts.Node): number =>
  source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1

const walk = (node: ts.Node, visit: (node: ts.Node) => void): void => {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

const specifierOf = (node: ts.Node): ts.Expression | undefined => {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    return node.arguments[0]
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return ts.isStringLiteral(node.argument.literal) ? node.argument.literal : undefined
  }
  return undefined
}

/** Every module named in the file: static, dynamic, re-exported or for its types. */
export const importsOf = (source: Source): ReadonlyArray<Import> => {
  const tree = parse(source)
  const found: Array<Import> = []
  walk(tree, (node) => {
    const specifier = specifierOf(node)
    if (specifier !== undefined && ts.isStringLiteralLike(specifier))
      found.push({ line: lineOf(tree, node), specifier: specifier.text })
  })
  return found
}

/** `any` as a type, and assertions that go through `unknown`. */
export const looseTypes = (source: Source): ReadonlyArray<Found> => {
  const tree = parse(source)
  const found: Array<Found> = []
  walk(tree, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push({ line: lineOf(tree, node), what: "type `any`" })
    if (
      ts.isAsExpression(node) &&
      ts.isAsExpression(node.expression) &&
      node.expression.type.kind === ts.SyntaxKind.UnknownKeyword
    )
      found.push({ line: lineOf(tree, node), what: "an assertion through `unknown`" })
  })
  return found
}
