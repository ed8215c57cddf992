import path from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import { load } from "../../src/gateway/GatewaySettings.ts"
import { settingNames, variableOf } from "../../src/gateway/SettingsTable.ts"
import { root } from "../check/Step.ts"
import { compose, isObject, type Json, type Manifest } from "./Compose.ts"
import { schemaProblems } from "./Schemas.ts"

const manifests = compose(path.join(root, "k8s/overlays/example"))

const one = (kind: string, name = "holdfast"): Manifest => {
  const found = manifests.filter(
    (manifest) => manifest.kind === kind && isObject(manifest.metadata) && manifest.metadata.name === name,
  )
  expect(found, `${kind} ${name}`).toHaveLength(1)
  return found[0] ?? {}
}

/** The value at a path such as `spec.containers.0.name`; null where there is none. */
const at = (value: Json, where: string): Json => {
  let current: Json = value
  for (const key of where.split(".")) {
    if (Array.isArray(current)) current = current[Number(key)] ?? null
    else if (isObject(current)) current = current[key] ?? null
    else return null
  }
  return current
}

const list = (value: Json): ReadonlyArray<Json> => (Array.isArray(value) ? value : [])
const named = (items: Json, name: string): Json =>
  list(items).find((item) => at(item, "name") === name) ?? null

const deployment = one("Deployment")
const pod = at(deployment, "spec.template.spec")
const podLabels = at(deployment, "spec.template.metadata.labels")
const gateway = named(at(pod, "containers"), "gateway")
const containers = [...list(at(pod, "initContainers")), ...list(at(pod, "containers"))]

/** `object` with the value at `where` replaced. */
const changed = (object: Json, where: string, value: Json): Json => {
  const [key = "", ...rest] = where.split(".")
  const inner = (current: Json): Json => (rest.length === 0 ? value : changed(current, rest.join("."), value))
  if (Array.isArray(object))
    return object.map((item: Json, index) => (index === Number(key) ? inner(item) : item))
  return isObject(object) ? { ...object, [key]: inner(object[key] ?? {}) } : object
}
const changedDeployment = (where: string, value: Json): Manifest => {
  const object = changed(deployment, where, value)
  return isObject(object) ? object : {}
}

describe("the check of manifests", () => {
  it("accepts what Kubernetes takes", () => {
    expect(schemaProblems(manifests)).toEqual([])
  })

  it.each([
    ["an unknown field", "spec.template.spec.containers.0.securityContex", {}, "securityContex"],
    ["a wrong type", "spec.replicas", "three", "replicas"],
    ["an unknown kind", "kind", "Deploiment", "Deploiment"],
    ["an unknown version of the API", "apiVersion", "apps/v9", "apps/v9"],
    ["a volume without its name", "spec.template.spec.volumes.0", { emptyDir: {} }, "name"],
  ])("reports %s", (_, where, value, told) => {
    const problems = schemaProblems([changedDeployment(where, value)])
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.join("\n")).toContain(told)
  })
})

describe("the gateway's pods", () => {
  it("are three, replaced one by one, the new one first", () => {
    expect(at(deployment, "spec.replicas")).toBe(3)
    expect(at(deployment, "spec.strategy.rollingUpdate")).toEqual({ maxSurge: 1, maxUnavailable: 0 })
  })

  it("are selected by their Deployment, their Services, their disruption budget and their network policy", () => {
    const selectors = [
      at(deployment, "spec.selector.matchLabels"),
      at(one("Service"), "spec.selector"),
      at(one("Service", "holdfast-peers"), "spec.selector"),
      at(one("PodDisruptionBudget"), "spec.selector.matchLabels"),
      at(one("NetworkPolicy"), "spec.podSelector.matchLabels"),
      at(pod, "topologySpreadConstraints.0.labelSelector.matchLabels"),
      at(pod, "topologySpreadConstraints.1.labelSelector.matchLabels"),
    ]
    for (const selector of selectors) {
      expect(Object.keys(isObject(selector) ? selector : {})).not.toHaveLength(0)
      expect(podLabels).toMatchObject(isObject(selector) ? selector : {})
    }
  })

  it("leave one at a time when nodes are drained", () => {
    expect(at(one("PodDisruptionBudget"), "spec.maxUnavailable")).toBe(1)
  })

  it("take traffic when ready and are restarted when not alive, as their health port says", () => {
    expect(at(gateway, "startupProbe.httpGet")).toEqual({ path: "/healthz", port: "health" })
    expect(at(gateway, "livenessProbe.httpGet")).toEqual({ path: "/healthz", port: "health" })
    expect(at(gateway, "readinessProbe.httpGet")).toEqual({ path: "/readyz", port: "health" })
  })

  it("have time to drain after the last connection can have reached them", () => {
    const pauseSeconds = Number(at(gateway, "lifecycle.preStop.exec.command.1"))
    expect(pauseSeconds).toBeGreaterThan(0)
    expect(Number(at(pod, "terminationGracePeriodSeconds"))).toBeGreaterThanOrEqual(
      pauseSeconds + (limits.drainDeadlineMs + limits.exitMs) / 1_000 + 15,
    )
  })

  it("listen where the Services and the network policy lead", () => {
    const ports = new Map(
      list(at(gateway, "ports")).map((port) => [at(port, "name"), at(port, "containerPort")]),
    )
    expect(Object.fromEntries(ports)).toEqual({ client: 8080, health: 8081, peer: 8082 })
    for (const service of [one("Service"), one("Service", "holdfast-peers")]) {
      for (const port of list(at(service, "spec.ports"))) {
        expect(ports.get(at(port, "targetPort"))).toBe(at(port, "port"))
      }
    }
    const allowed = list(at(one("NetworkPolicy"), "spec.ingress")).flatMap((rule) => list(at(rule, "ports")))
    expect(allowed.map((port) => at(port, "port")).sort()).toEqual([...ports.keys()].sort())
    const environment = at(gateway, "env")
    for (const [name, port] of [
      ["HOLDFAST_LISTEN", "client"],
      ["HOLDFAST_METRICS_LISTEN", "health"],
      ["HOLDFAST_PEER_LISTEN", "peer"],
      ["HOLDFAST_PEER_ADVERTISE", "peer"],
      ["HOLDFAST_ADVERTISE_URL", "client"],
    ] as const) {
      expect(String(at(named(environment, name), "value"))).toContain(`$(POD_IP):${ports.get(port)}`)
    }
  })

  it("let nobody but each other reach the peer port", () => {
    const rules = list(at(one("NetworkPolicy"), "spec.ingress")).filter((rule) =>
      list(at(rule, "ports")).some((port) => at(port, "port") === "peer"),
    )
    expect(rules).toHaveLength(1)
    expect(at(rules[0] ?? null, "from")).toEqual([{ podSelector: { matchLabels: podLabels } }])
  })

  it("accept users on a loopback listener only", () => {
    const addresses = String(at(named(at(gateway, "env"), "HOLDFAST_LISTEN"), "value")).split(",")
    expect(addresses).toEqual(["$(POD_IP):8080", "127.0.0.1:17670"])
  })

  it("are named after their pod, so that no two share a name or a certificate", () => {
    for (const container of containers) {
      expect(at(named(at(container, "env"), "HOLDFAST_NAME"), "valueFrom.fieldRef.fieldPath")).toBe(
        "metadata.name",
      )
    }
  })

  it("get every secret from a Secret that the example names", () => {
    expect(at(named(at(gateway, "env"), "HOLDFAST_DATABASE_URL"), "valueFrom.secretKeyRef")).toEqual({
      name: "holdfast-postgres",
      key: "uri",
    })
    const mounted = list(at(pod, "volumes")).flatMap((volume) => {
      const secret = at(volume, "secret.secretName")
      return typeof secret === "string" ? [secret] : []
    })
    expect(mounted.sort()).toEqual(["holdfast-credentials", "holdfast-jwt", "holdfast-peer-ca"])
    for (const name of ["holdfast-postgres", ...mounted]) {
      const values = Object.values(one("Secret", name).stringData ?? {})
      expect(values.length).toBeGreaterThan(0)
      for (const value of values) expect(value).toContain("REPLACE")
    }
  })

  it("keep the key of the authority from the container that serves", () => {
    const mounts = list(at(gateway, "volumeMounts")).map((mount) => at(mount, "name"))
    expect(mounts).not.toContain("peer-ca")
    expect(at(named(at(pod, "volumes"), "peer-certificate"), "emptyDir.medium")).toBe("Memory")
  })

  it("run without privileges, on a file system that they cannot write", () => {
    expect(at(pod, "securityContext")).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    })
    expect(containers).toHaveLength(2)
    for (const container of containers) {
      expect(at(container, "securityContext")).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      })
      expect(at(container, "resources.requests.memory")).not.toBeNull()
      expect(at(container, "resources.limits.memory")).not.toBeNull()
    }
    for (const key of ["hostNetwork", "hostPID", "hostIPC"]) expect(at(pod, key)).toBeNull()
    for (const volume of list(at(pod, "volumes"))) expect(at(volume, "hostPath")).toBeNull()
  })

  it("may ask nothing of the Kubernetes API", () => {
    expect(at(one("Role"), "rules")).toEqual([])
    expect(at(one("RoleBinding"), "roleRef.name")).toBe("holdfast")
    expect(at(one("ServiceAccount"), "automountServiceAccountToken")).toBe(false)
    expect(at(pod, "automountServiceAccountToken")).toBe(false)
    expect(at(pod, "serviceAccountName")).toBe("holdfast")
  })

  it("use the image that the overlay names", () => {
    for (const container of containers)
      expect(at(container, "image")).toBe("registry.example.com/holdfast:0.1.0")
  })

  it("set what the gateway knows, and it takes all of it", async () => {
    const environment = Object.fromEntries(
      list(at(gateway, "env")).map((variable) => {
        const value = at(variable, "value")
        return [String(at(variable, "name")), typeof value === "string" ? value : "postgres://host/db"]
      }),
    )
    const resolved = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [key, value.replaceAll("$(POD_IP)", "10.0.0.7")]),
    )
    const known = new Set(["POD_IP", ...settingNames.map(variableOf)])
    expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([])
    const settings = await Effect.runPromise(load({}, resolved))
    expect(settings.url).toBe("http://10.0.0.7:8080")
    expect(settings.peerAdvertise).toEqual({ host: "10.0.0.7", port: 8082 })
    expect(settings.metricsListen).toEqual([{ host: "10.0.0.7", port: 8081 }])
    expect(settings.sandboxEndpoint).toBe("http://holdfast:8080")
  })
})
