/** The methods of this wire by name, for tables that must be complete. */
import type { Inference, OpenShell } from "./Generated.ts"

export type OpenShellMethod = keyof typeof OpenShell.method
export type InferenceMethod = keyof typeof Inference.method
