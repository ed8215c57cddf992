/** What a run found. */
export interface Row {
  readonly case: string
  /** `own`, `ref`, or empty where no supervisor matters. */
  readonly supervisor: string
  readonly result: "ok" | "failed" | "not yet"
  readonly ms: number
  /** Why it failed, or which method is missing. */
  readonly detail: string
}

export interface Report {
  readonly tools: string
  readonly replicas: number
  readonly roll: boolean
  /** Graceful restarts of replicas while the cases ran. */
  readonly restarts: number
  readonly seconds: number
  readonly rows: ReadonlyArray<Row>
}

export const line = ({ case: name, supervisor, result, ms }: Row): string =>
  `${name.padEnd(52)} ${supervisor.padEnd(4)} ${result.padEnd(8)} ${String(ms).padStart(7)}`

export const summary = ({ tools, replicas, roll, restarts, seconds, rows }: Report): string => {
  const count = (result: Row["result"]): number => rows.filter((row) => row.result === result).length
  return [
    `${count("ok")} ok, ${count("failed")} failed, ${count("not yet")} not yet, in ${seconds} s`,
    `${tools}; ${replicas} replicas${roll ? `, ${restarts} restarts meanwhile` : ", through one that does not hold the session"}`,
  ].join("\n")
}
