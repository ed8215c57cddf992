/** Inference routes: which model of which provider a workspace's sandboxes are given under a fixed name. */

/** `inference.local`: for what runs in a sandbox; `sandbox-system`: for the sandbox's own supervisor. */
export const routeNames = ["inference.local", "sandbox-system"] as const
export type RouteName = (typeof routeNames)[number]

export const isRouteName = (name: string): name is RouteName => routeNames.some((known) => known === name)

export interface InferenceRoute {
  readonly id: string
  readonly workspace: string
  readonly routeName: string
  readonly providerName: string
  readonly modelId: string
  /** 0: the supervisor's own. */
  readonly timeoutSecs: number
  readonly createdAtMs: number
  readonly version: number
}

/** An empty route name is `inference.local`. */
export interface RouteQuery {
  readonly routeName: string
  readonly workspace: string
}

export interface RouteDraft extends RouteQuery {
  readonly providerName: string
  readonly modelId: string
  readonly timeoutSecs: number
  readonly verify: boolean
  readonly noVerify: boolean
}

export interface ValidatedEndpoint {
  readonly url: string
  readonly protocol: string
}

export interface RouteSet {
  readonly route: InferenceRoute
  readonly validationPerformed: boolean
  readonly validatedEndpoints: ReadonlyArray<ValidatedEndpoint>
}

/** A route with all that is needed to use it. */
export interface ResolvedRoute {
  readonly name: string
  readonly baseUrl: string
  readonly protocols: ReadonlyArray<string>
  readonly apiKey: string
  readonly modelId: string
  readonly providerType: string
  readonly timeoutSecs: number
}

export interface InferenceBundle {
  readonly routes: ReadonlyArray<ResolvedRoute>
  /** 16 hex characters: a change detector. */
  readonly revision: string
  readonly generatedAtMs: number
}

/** A route as a client sees it. */
export type SeenRoute = Omit<InferenceRoute, "id" | "createdAtMs">
