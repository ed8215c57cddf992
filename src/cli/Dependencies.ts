/**
 * The programs that the command line starts but does not contain: they lie above it in the layers, so
 * `main.ts` hands them in, loading each only when it runs. Each ends with the exit code of the process.
 */
import type { CommandEffect, Globals } from "./Invocation.ts"

export interface CliDependencies {
  /** Settings by name in camel case, only those given as flags; the environment fills the rest. */
  readonly runGateway: (options: Readonly<Record<string, string>>) => Promise<CommandEffect>
  /** The arguments after `holdfast supervisor`, unparsed. */
  readonly runSupervisor: (argv: ReadonlyArray<string>) => Promise<CommandEffect>
  readonly runUp: (options: UpOptions) => Promise<CommandEffect>
  readonly runDrill: (options: DrillOptions) => Promise<CommandEffect>
}

export interface UpOptions {
  readonly replicas: number
  /** Port of the front door; replicas and peers take the ports after it. */
  readonly port: number
  readonly stateDirectory: string
  readonly once: boolean
  readonly sqlite: boolean
  readonly json: boolean
}

export const drillWires = ["holdfast", "openshell"] as const
export type DrillWire = (typeof drillWires)[number]

export interface DrillOptions {
  readonly scenario: string
  /** Start a cluster for the drill instead of using one that runs. */
  readonly local: boolean
  /** Of a running `holdfast up`. */
  readonly stateDirectory: string
  /** Undefined leaves it to the scenario. */
  readonly streams: number | undefined
  readonly sandboxes: number | undefined
  /** Sessions that nobody uses, besides those of the sandboxes. */
  readonly idle: number
  /** What supervisors and clients speak: our extensions as well, or OpenShell's wire alone. */
  readonly wire: DrillWire
  /** By TLS instead of in the clear. */
  readonly tls: boolean
  readonly quick: boolean
  readonly json: boolean
  /** Seeds the content of the streams; by the clock when absent. */
  readonly seed: number | undefined
  /** How long `watch` lasts. */
  readonly forMs: number
  /** How links are cut; as well as this account can when absent. */
  readonly by: "namespace" | "proxy" | undefined
  /** For `watch`: the gateway to talk to, and how. */
  readonly globals: Globals
}
