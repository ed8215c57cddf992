import { areaCases } from "./Areas.ts"
import type { Case } from "./Case.ts"
import { execCases } from "./Exec.ts"
import { fileCases } from "./Files.ts"
import { forwardCases } from "./Forwards.ts"
import { logCases } from "./Logs.ts"
import { proposals } from "./Proposals.ts"
import { pythonCases } from "./Python.ts"
import { sandboxCases } from "./Sandboxes.ts"

export const cases: ReadonlyArray<Case> = [
  ...sandboxCases,
  ...execCases,
  ...fileCases,
  ...forwardCases,
  ...logCases,
  ...areaCases,
  ...proposals,
  ...pythonCases,
]
