/** Sandboxes: create, look at, stop, start, delete (contract 2.2). */
import { Internal, InvalidArgument } from "../../domain/Errors.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import type { NewSandbox, SandboxName, SandboxQuery } from "../../domain/SandboxRequests.ts"
import { called, same, served } from "../grpc/Protobuf.ts"
import { type CreateSandboxRequest, OpenShell, type SandboxResponse } from "./Generated.ts"
import { sandboxOf, sandboxToWire, specOf, specToWire } from "./SandboxMessages.ts"

const { method } = OpenShell

const newSandboxOf = (request: CreateSandboxRequest): NewSandbox => {
  if (request.spec === undefined) throw new InvalidArgument({ message: "spec is required" })
  const { name, workspace, labels, annotations } = request
  return { name, workspace, labels, annotations, spec: specOf(request.spec) }
}

const responseOf = (sandbox: Sandbox) => ({ sandbox: sandboxToWire(sandbox) })

/** Throws Internal for a response without a sandbox. */
const present = ({ sandbox }: SandboxResponse): Sandbox => {
  if (sandbox === undefined) throw new Internal({ message: "the gateway answered without the sandbox" })
  return sandboxOf(sandbox)
}

export const sandboxes = {
  create: served(method.createSandbox, newSandboxOf, responseOf),
  get: served(method.getSandbox, same<SandboxName>, responseOf),
  list: served(method.listSandboxes, same<SandboxQuery>, (found: ReadonlyArray<Sandbox>) => ({
    sandboxes: found.map(sandboxToWire),
  })),
  delete: served(method.deleteSandbox, same<SandboxName>, (deleted: boolean) => ({ deleted })),
  stop: served(method.stopSandbox, same<SandboxName>, responseOf),
  start: served(method.startSandbox, same<SandboxName>, responseOf),
}

export const sandboxCalls = {
  create: called(
    method.createSandbox,
    ({ labels, annotations, spec, ...names }: NewSandbox) => ({
      ...names,
      labels: { ...labels },
      annotations: { ...annotations },
      spec: specToWire(spec),
    }),
    present,
  ),
  get: called(method.getSandbox, same<SandboxName>, present),
  list: called(method.listSandboxes, same<SandboxQuery>, (page) => page.sandboxes.map(sandboxOf)),
  delete: called(method.deleteSandbox, same<SandboxName>, ({ deleted }) => deleted),
  stop: called(method.stopSandbox, same<SandboxName>, present),
  start: called(method.startSandbox, same<SandboxName>, present),
}
