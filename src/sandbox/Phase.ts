/** Phases of a sandbox and their conditions (wire contract 3.8): pure transitions of its status. */
import type { SandboxCondition, SandboxPhase, SandboxStatus } from "../domain/Sandbox.ts"

type Condition = Omit<SandboxCondition, "lastTransitionTime">

/** Replaces the condition of the same type; the transition time moves only when the status does. */
const withCondition = (
  conditions: ReadonlyArray<SandboxCondition>,
  next: Condition,
  nowMs: number,
): ReadonlyArray<SandboxCondition> => {
  const previous = conditions.find((condition) => condition.type === next.type)
  const lastTransitionTime =
    previous?.status === next.status ? previous.lastTransitionTime : new Date(nowMs).toISOString()
  return [...conditions.filter((condition) => condition.type !== next.type), { ...next, lastTransitionTime }]
}

const to = (
  status: SandboxStatus,
  phase: SandboxPhase,
  condition: Condition,
  nowMs: number,
): SandboxStatus => ({
  ...status,
  phase,
  conditions: withCondition(status.conditions, condition, nowMs),
})

const session = (status: "True" | "False", reason: string, message: string): Condition => ({
  type: "SessionConnected",
  status,
  reason,
  message,
})

/** Phases in which a session changes nothing about the phase. */
const deaf: ReadonlySet<SandboxPhase> = new Set(["Deleting", "Error", "Stopping", "Stopped"])

/** Phases that the sandbox's sessions do not outlive. */
const over: ReadonlySet<SandboxPhase> = new Set(["Deleting", "Stopping", "Stopped"])

/** Whether a session may be the sandbox's. */
export const admits = (status: SandboxStatus): boolean => !over.has(status.phase)

export const initial = (nowMs: number): SandboxStatus =>
  to(
    {
      phase: "Provisioning",
      conditions: [],
      agentPod: "",
      currentPolicyVersion: 0,
      mainProcessInstanceId: "",
    },
    "Provisioning",
    { type: "Ready", status: "False", reason: "Starting", message: "Sandbox is being created" },
    nowMs,
  )

const isAttached = (status: SandboxStatus, instanceId: string): boolean =>
  status.phase === "Ready" &&
  status.mainProcessInstanceId === instanceId &&
  status.exitCode === undefined &&
  status.conditions.some(({ type, status: held }) => type === "SessionConnected" && held === "True")

/** A session was accepted. The same status when it says so already, so that a move writes no row. */
export const attached = (status: SandboxStatus, instanceId: string, nowMs: number): SandboxStatus => {
  if (deaf.has(status.phase) || isAttached(status, instanceId)) return status
  const { exitCode: _, ...rest } = status
  const ready = to(
    { ...rest, mainProcessInstanceId: instanceId },
    "Ready",
    { type: "Ready", status: "True", reason: "DependenciesReady", message: "Supervisor session connected" },
    nowMs,
  )
  return {
    ...ready,
    conditions: withCondition(
      ready.conditions,
      session("True", "Connected", "Supervisor session connected"),
      nowMs,
    ),
  }
}

/** Whether a session is the one that a creation or a start waits for, and not one that comes back. */
export const awaitsFirstSession = (status: SandboxStatus): boolean =>
  status.phase === "Starting" || (status.phase === "Provisioning" && status.mainProcessInstanceId === "")

/** The current session ended: the sandbox stays Ready for the grace period, callers are held. */
export const sessionLost = (status: SandboxStatus, nowMs: number): SandboxStatus =>
  status.phase !== "Ready"
    ? status
    : {
        ...status,
        conditions: withCondition(
          status.conditions,
          session("False", "SessionLost", "Supervisor session lost; callers are held until it returns"),
          nowMs,
        ),
      }

/** The grace period is over and no session came back. */
export const graceOver = (status: SandboxStatus, nowMs: number): SandboxStatus =>
  status.phase !== "Ready"
    ? status
    : to(
        status,
        "Provisioning",
        {
          type: "Ready",
          status: "False",
          reason: "DependenciesNotReady",
          message: "Supervisor session disconnected",
        },
        nowMs,
      )

/** A phase on the way somewhere, named by itself as the reason why the sandbox is not Ready. */
const under =
  (phase: SandboxPhase, message: string) =>
  (status: SandboxStatus, nowMs: number): SandboxStatus =>
    to(status, phase, { type: "Ready", status: "False", reason: phase, message }, nowMs)

export const stopping = under("Stopping", "Sandbox is stopping")
export const stopped = under("Stopped", "Sandbox is stopped")
export const starting = under("Starting", "Sandbox is starting")
export const deleting = under("Deleting", "Sandbox is being deleted")

export const failed = (
  status: SandboxStatus,
  reason: string,
  message: string,
  nowMs: number,
): SandboxStatus =>
  status.phase === "Deleting"
    ? status
    : to(status, "Error", { type: "Ready", status: "False", reason, message }, nowMs)

/** The main process of that instance ended. Reports of another instance, or while stopping, change nothing. */
export const exited = (
  status: SandboxStatus,
  instanceId: string,
  exitCode: number,
  nowMs: number,
): SandboxStatus => {
  if (deaf.has(status.phase) || status.phase === "Starting" || status.mainProcessInstanceId !== instanceId)
    return status
  return {
    ...failed(status, "MainProcessExited", `Main process exited with code ${exitCode}`, nowMs),
    exitCode,
  }
}
