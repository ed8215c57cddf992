import { Effect } from "effect"
import { deleteInferenceRoute, getInferenceRoute, setInferenceRoute } from "../../client/Providers.ts"
import type { SeenRoute } from "../../domain/Inference.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { numberOption, textOption, unlessNegated } from "../Options.ts"
import { print, printOutcome, renderFields, say } from "../Output.ts"

/** `--system` names the route of the sandbox's own supervisor. */
const routeNameOf = ({ options }: Invocation): string =>
  options.system === true ? "sandbox-system" : "inference.local"

const describe = (route: SeenRoute): string =>
  renderFields([
    ["Route", route.routeName],
    ["Workspace", route.workspace],
    ["Provider", route.providerName],
    ["Model", route.modelId],
    ["Timeout", route.timeoutSecs === 0 ? "" : `${route.timeoutSecs} s`],
    ["Version", String(route.version)],
  ])

export const inferenceSet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const routeName = routeNameOf(invocation)
    const gateway = yield* openGateway(invocation)
    const verify = unlessNegated(invocation, "verify")
    const { route, validationPerformed, validatedEndpoints } = yield* setInferenceRoute(gateway, {
      routeName,
      providerName: textOption(invocation, "provider") ?? "",
      modelId: textOption(invocation, "model") ?? "",
      timeoutSecs: numberOption(invocation, "requestTimeout") ?? 0,
      verify: false,
      noVerify: !verify,
    }).pipe(attempting(gateway, { action: `set inference route "${routeName}"` }))
    const urls = validatedEndpoints.map(({ url }) => url).join(", ")
    const checked = validationPerformed ? `, verified at ${urls}` : ", not verified"
    yield* printOutcome(invocation, {
      json: { ...route, validationPerformed, validatedEndpoints },
      name: route.routeName,
      told: say(
        `Route "${route.routeName}" goes to model "${route.modelId}" of provider "${route.providerName}"${checked}.`,
      ),
    })
    return 0
  })

export const inferenceGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const routeName = routeNameOf(invocation)
    const gateway = yield* openGateway(invocation)
    const route = yield* getInferenceRoute(gateway, routeName).pipe(
      attempting(gateway, { action: `get inference route "${routeName}"` }),
    )
    yield* printOutcome(invocation, { json: route, name: route.routeName, told: print(describe(route)) })
    return 0
  })

export const inferenceDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const routeName = routeNameOf(invocation)
    const gateway = yield* openGateway(invocation)
    const deleted = yield* deleteInferenceRoute(gateway, routeName).pipe(
      attempting(gateway, { action: `delete inference route "${routeName}"` }),
    )
    const told = say(deleted ? `Deleted route "${routeName}".` : `There is no route "${routeName}".`)
    yield* printOutcome(invocation, { json: { routeName, deleted }, name: routeName, told })
    return 0
  })
