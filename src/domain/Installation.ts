/**
 * Where this program lies. What it starts again of itself (replicas, supervisors, fleets) runs as `bun run build`
 * has put it together in `dist`: from its sources a replica takes three times the processor time to start and
 * twice the memory.
 */
import { fileURLToPath } from "node:url"

/** A module of `dist` lies one folder below the top, this one two. */
const top = new URL(import.meta.url.endsWith(".ts") ? "../../" : "../", import.meta.url)

/** Absolute path of a file of this installation. */
export const installed = (file: string): string => fileURLToPath(new URL(file, top))

/** The program `holdfast`. */
export const mainModule: string = installed("dist/main.js")
