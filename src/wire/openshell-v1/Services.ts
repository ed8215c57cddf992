/** Exposed services (contract 2.6). */
import { Internal } from "../../domain/Errors.ts"
import {
  type ExposedService,
  endpointName,
  type NewService,
  type ServiceEndpoint,
  type ServiceName,
  type ServiceQuery,
} from "../../domain/Service.ts"
import { called, same, served } from "../grpc/Protobuf.ts"
import { OpenShell, type ServiceEndpointResponse } from "./Generated.ts"

const { method } = OpenShell

const endpointToWire = (endpoint: ServiceEndpoint) => ({
  metadata: {
    id: endpoint.id,
    name: endpointName(endpoint),
    createdAtMs: BigInt(endpoint.createdAtMs),
    resourceVersion: BigInt(endpoint.resourceVersion),
    workspace: endpoint.workspace,
  },
  sandboxId: endpoint.sandboxId,
  sandboxName: endpoint.sandboxName,
  serviceName: endpoint.serviceName,
  targetPort: endpoint.targetPort,
  domain: true,
})

const toWire = ({ endpoint, url }: ExposedService) => ({ endpoint: endpointToWire(endpoint), url })

/** Throws Internal for a response without an endpoint. */
const exposedOf = ({ endpoint, url }: ServiceEndpointResponse): ExposedService => {
  if (endpoint === undefined)
    throw new Internal({ message: "the gateway answered without the service endpoint" })
  const { metadata, sandboxId, sandboxName, serviceName, targetPort } = endpoint
  return {
    url,
    endpoint: {
      id: metadata?.id ?? "",
      workspace: metadata?.workspace ?? "",
      createdAtMs: Number(metadata?.createdAtMs ?? 0),
      resourceVersion: Number(metadata?.resourceVersion ?? 0),
      sandboxId,
      sandboxName,
      serviceName,
      targetPort,
    },
  }
}

export const services = {
  expose: served(method.exposeService, same<NewService>, toWire),
  get: served(method.getService, same<ServiceName>, toWire),
  list: served(method.listServices, same<ServiceQuery>, (found: ReadonlyArray<ExposedService>) => ({
    services: found.map(toWire),
  })),
  delete: served(method.deleteService, same<ServiceName>, (deleted: boolean) => ({ deleted })),
}

export const serviceCalls = {
  expose: called(method.exposeService, (request: NewService) => ({ ...request, domain: true }), exposedOf),
  get: called(method.getService, same<ServiceName>, exposedOf),
  list: called(method.listServices, same<ServiceQuery>, (page) => page.services.map(exposedOf)),
  delete: called(method.deleteService, same<ServiceName>, ({ deleted }) => deleted),
}
