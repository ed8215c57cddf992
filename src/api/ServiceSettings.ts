/** How services are named and reached. */
import { Context } from "effect"

export class ServiceSettings extends Context.Tag("holdfast/ServiceSettings")<
  ServiceSettings,
  {
    /** Domains under which services have their host names, lower case; the first is the one in URLs. */
    readonly domains: readonly [string, ...ReadonlyArray<string>]
    /** Gives URLs their scheme and port. */
    readonly publicUrl: string
    /** Whether loopback listeners serve them without TLS. */
    readonly loopbackHttp: boolean
  }
>() {}
