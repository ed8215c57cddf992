/** What the gateway itself answers in place of a service (wire contract 3.7). */
import type { PublicError } from "../../domain/Errors.ts"

export interface Page {
  readonly status: number
  readonly text: string
}

const page = (status: number, text: string): Page => ({ status, text })

export const pages = {
  badHost: page(400, "Invalid service host"),
  badRequest: page(400, "Bad request"),
  crossOrigin: page(403, "Cross-origin requests are not allowed"),
  notFound: page(404, "Service endpoint not found"),
  notAvailable: page(404, "Service endpoint is not available"),
  notReady: page(412, "Sandbox is not ready"),
  internal: page(500, "Internal server error"),
  notReachable: page(502, "Service endpoint is not reachable"),
  busy: page(503, "Too many requests are under way"),
} as const

/** Of a relay that could not be opened. */
export const pageOf = (error: PublicError): Page => {
  switch (error._tag) {
    case "NotFound":
      return pages.notFound
    case "FailedPrecondition":
      return pages.notReady
    case "LimitReached":
      return pages.busy
    case "Internal":
      return pages.internal
    default:
      return pages.notReachable
  }
}
