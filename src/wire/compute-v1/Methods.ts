/** The compute-driver contract: the twelve methods that a gateway calls. */
import type { ComputeReference, ComputeRequest, DriverCapabilities } from "../../domain/Compute.ts"
import { called } from "../grpc/Protobuf.ts"
import { ComputeDriver } from "./Generated.ts"
import {
  eventFromWire,
  presentSandbox,
  requestToWire,
  requirementFromWire,
  sandboxFromWire,
} from "./Messages.ts"

const { method } = ComputeDriver

const nothing = (_: undefined) => ({})
const ignored = (): void => undefined
const whole = (sandbox: ComputeRequest) => ({ sandbox: requestToWire(sandbox) })
const reference = ({ id, name }: ComputeReference) => ({ sandboxId: id, sandboxName: name })
const named = (workspace: string) => ({ workspace })

/** The service's name, for people. */
export const contract: string = ComputeDriver.typeName

export const getCapabilities = called(
  method.getCapabilities,
  nothing,
  ({ driverName, driverVersion, defaultImage, gatewayManagesLifecycle }): DriverCapabilities => ({
    driverName,
    driverVersion,
    defaultImage,
    gatewayManagesLifecycle,
  }),
)

export const getListenerRequirements = called(
  method.getGatewayListenerRequirements,
  nothing,
  ({ requirements }) => requirements.map(requirementFromWire),
)

export const validateSandbox = called(method.validateSandboxCreate, whole, ignored)
export const createSandbox = called(method.createSandbox, whole, ignored)
export const startSandbox = called(method.startSandbox, reference, ignored)
export const stopSandbox = called(method.stopSandbox, reference, ignored)
export const deleteSandbox = called(method.deleteSandbox, reference, ({ deleted }) => deleted)
export const getSandbox = called(method.getSandbox, reference, ({ sandbox }) => presentSandbox(sandbox))
export const listSandboxes = called(method.listSandboxes, nothing, ({ sandboxes }) =>
  sandboxes.map(sandboxFromWire),
)
export const watchSandboxes = called(method.watchSandboxes, nothing, eventFromWire)
export const ensureWorkspace = called(method.ensureWorkspace, named, ignored)
export const deleteWorkspace = called(method.deleteWorkspace, named, ignored)
