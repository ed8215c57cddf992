/** Services of sandboxes: a port of an application, reached over HTTP by a host name of its own. */

export interface ServiceEndpoint {
  readonly id: string
  readonly workspace: string
  readonly sandboxId: string
  readonly sandboxName: string
  /** Empty for the one unnamed endpoint of a sandbox. */
  readonly serviceName: string
  /** 1–65535, on the sandbox's loopback. */
  readonly targetPort: number
  readonly createdAtMs: number
  readonly resourceVersion: number
}

export interface ExposedService {
  readonly endpoint: ServiceEndpoint
  readonly url: string
}

/** Which service a request or a host name is about. */
export interface ServiceName {
  readonly workspace: string
  readonly sandbox: string
  readonly service: string
}

export interface NewService extends ServiceName {
  readonly targetPort: number
}

export interface ServiceQuery {
  readonly workspace: string
  readonly allWorkspaces: boolean
  /** Empty for the services of all sandboxes. */
  readonly sandbox: string
  readonly limit: number
  readonly offset: number
}

/** The name of an endpoint's record (wire contract 3.7): `sandbox` or `sandbox--service`. */
export const endpointName = ({ sandboxName, serviceName }: ServiceEndpoint): string =>
  serviceName === "" ? sandboxName : `${sandboxName}--${serviceName}`
