/** Settings of the actors that an operator may change. */
import { Context } from "effect"

export class SandboxSettings extends Context.Tag("holdfast/SandboxSettings")<
  SandboxSettings,
  {
    /** How long a lost session keeps its sandbox Ready. */
    readonly sessionGraceMs: number
  }
>() {}
