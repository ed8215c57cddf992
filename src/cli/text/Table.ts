/** Tables for people: aligned columns, three spaces apart, no borders, upper-case headings. */
export interface Column<Row> {
  readonly heading: string
  readonly value: (row: Row) => string
  /** Numbers read better when their units stand below each other. */
  readonly alignRight?: boolean
  /** Colours a padded cell; never changes its width. */
  readonly paint?: (cell: string, row: Row) => string
}

export interface TableOptions {
  readonly color: boolean
  readonly headings?: boolean
}

const gap = "   "

/** The lines of the table joined by newlines, with a newline at the end; no trailing blanks. */
export const renderTable = <Row>(
  rows: ReadonlyArray<Row>,
  columns: ReadonlyArray<Column<Row>>,
  options: TableOptions,
): string => {
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))))
  const widths = columns.map((column, index) =>
    Math.max(width(column.heading), ...cells.map((line) => width(line[index] ?? ""))),
  )
  const pad = (text: string, index: number): string => {
    const fill = " ".repeat(Math.max(0, (widths[index] ?? 0) - width(text)))
    if (columns[index]?.alignRight === true) return fill + text
    return index === columns.length - 1 ? text : text + fill
  }
  const lines: Array<string> = []
  if (options.headings !== false) {
    lines.push(
      columns
        .map((column, index) => pad(column.heading, index))
        .join(gap)
        .trimEnd(),
    )
  }
  rows.forEach((row, rowIndex) => {
    const line = columns.map((column, index) => {
      const cell = pad(cells[rowIndex]?.[index] ?? "", index)
      return options.color && column.paint !== undefined ? column.paint(cell, row) : cell
    })
    lines.push(line.join(gap).trimEnd())
  })
  return lines.map((line) => `${line}\n`).join("")
}

/** Characters, counted by code point: names and labels of this system have no wide ones. */
const width = (text: string): number => [...text].length

/**
 * Text from a sandbox made safe for a terminal: control characters would let a workload move the cursor,
 * retitle the window or fake the lines around its own.
 */
export const printable = (text: string): string =>
  text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to remove
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
