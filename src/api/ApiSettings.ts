/** What the API says about this gateway. */
import { Context } from "effect"

export class ApiSettings extends Context.Tag("holdfast/ApiSettings")<
  ApiSettings,
  {
    readonly version: string
    /** The address that people use: the load balancer's, not this replica's. */
    readonly publicUrl: string
  }
>() {}
