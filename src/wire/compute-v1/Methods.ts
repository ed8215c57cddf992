/** The compute-driver contract: the twelve methods that a gateway calls. */
import type { ComputeReference, ComputeRequest, DriverCapabilities } from "../../domain/Compute.ts"
import { called, empty, nothing } from "../grpc/Protobuf.ts"
import { ComputeDriver } from "./Generated.ts"
import {
  eventFromWire,
  presentSandbox,
  requestToWire,
  requirementFromWire,
  sandboxFromWire,
} from "./Messages.ts"

const { method } = ComputeDriver

const whole = (sandbox: ComputeRequest) => ({ sandbox: requestToWire(sandbox) })
const reference = ({ id, name }: ComputeReference) => ({ sandboxId: id, sandboxName: name })
const named = (workspace: string) => ({ workspace })

/** The service's name, for people. */
export const contract: string = ComputeDriver.typeName

export const getCapabilities = called(
  method.getCapabilities,
  empty,
  ({ driverName, driverVersion, defaultImage, gatewayManagesLifecycle }): DriverCapabilities => ({
    driverName,
    driverVersion,
    defaultImage,
    gatewayManagesLifecycle,
  }),
)

export const getListenerRequirements = called(
  method.getGatewayListenerRequirements,
  empty,
  ({ requirements }) => requirements.map(requirementFromWire),
)

export const validateSandbox = called(method.validateSandboxCreate, whole, nothing)
export const createSandbox = called(method.createSandbox, whole, nothing)
export const startSandbox = called(method.startSandbox, reference, nothing)
export const stopSandbox = called(method.stopSandbox, reference, nothing)
export const deleteSandbox = called(method.deleteSandbox, reference, ({ deleted }) => deleted)
export const getSandbox = called(method.getSandbox, reference, ({ sandbox }) => presentSandbox(sandbox))
export const listSandboxes = called(method.listSandboxes, empty, ({ sandboxes }) =>
  sandboxes.map(sandboxFromWire),
)
export const watchSandboxes = called(method.watchSandboxes, empty, eventFromWire)
export const ensureWorkspace = called(method.ensureWorkspace, named, nothing)
export const deleteWorkspace = called(method.deleteWorkspace, named, nothing)
