/** What a compute driver says of a sandbox, in the words of `Driver` (wire contract 3.8). Pure. */
import type { ComputeCondition, ComputeSandbox, ComputeStatus } from "../../domain/Compute.ts"
import type { DriverObservation } from "../Driver.ts"

/** Reasons, in lower case, with which a sandbox that is not ready may still become so. */
const transient: ReadonlySet<string> = new Set(
  [
    "ReconcilerError",
    "DependenciesNotReady",
    "SupervisorNotConnected",
    "Starting",
    "ContainerStarting",
    "ContainerCreated",
    "HealthCheckStarting",
    "InspectFailed",
  ].map((reason) => reason.toLowerCase()),
)

const conditionOf = (status: ComputeStatus, type: string): ComputeCondition | undefined =>
  status.conditions.find((condition) => condition.type === type)

const words = ({ reason, message }: ComputeCondition): string =>
  [reason, message].filter((text) => text !== "").join(": ")

export const observationOf = ({ id, status }: ComputeSandbox): DriverObservation => {
  if (status === undefined)
    return { id, state: "running", instanceId: "", detail: "the driver says no status" }
  const { instanceId } = status
  if (status.deleting) return { id, state: "stopped", instanceId: "", detail: "the driver is deleting it" }
  const suspended = conditionOf(status, "Suspended")
  if (suspended?.status === "True")
    return { id, state: "suspended", instanceId: "", detail: words(suspended) }
  const ready = conditionOf(status, "Ready")
  if (ready === undefined) return { id, state: "running", instanceId, detail: "the driver says no readiness" }
  const failed = ready.status === "False" && !transient.has(ready.reason.toLowerCase())
  return { id, state: failed ? "failed" : "running", instanceId, detail: words(ready) }
}

export const absent = (id: string): DriverObservation => ({
  id,
  state: "absent",
  instanceId: "",
  detail: "the driver does not have it",
})
