/** One relay into a sandbox, opened through one connection. */
import type { ClientCall, GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { encodeForwardInit } from "./ForwardInit.ts"

export interface RelayRequest {
  readonly sandboxId: string
  readonly kind: "ssh" | "tcp" | "exec"
  /** Label for the logs of gateways. */
  readonly serviceId: string
  /** Of kind `tcp`. */
  readonly target?: { readonly host: string; readonly port: number } | undefined
}

export interface OpenRelay {
  readonly call: ClientCall
  readonly connection: GrpcConnection
  /** Gateway and supervisor take it as a carrier of a resumable stream. */
  readonly resumable: boolean
}

const forwardTcp = "/openshell.v1.OpenShell/ForwardTcp"

/** Initial metadata by which a gateway says that the relay is a carrier. */
export const carrierHeader = "holdfast-stream"

/** Resolves when the gateway has joined the relay. Rejects with GrpcError. `signal` counts until then. */
export const openRelay = async (
  connection: GrpcConnection,
  request: RelayRequest,
  { key, token }: { readonly key: Uint8Array; readonly token: string },
  signal?: AbortSignal,
): Promise<OpenRelay> => {
  const call = connection.open(forwardTcp)
  const cancel = (): void => call.cancel()
  if (signal?.aborted === true) cancel()
  signal?.addEventListener("abort", cancel, { once: true })
  try {
    const { sandboxId, serviceId, target, kind } = request
    await call.write(encodeForwardInit({ sandboxId, serviceId, tcp: target, token, carrier: { key, kind } }))
    await call.headers
    return { call, connection, resumable: call.metadata[carrierHeader] === "1" }
  } finally {
    signal?.removeEventListener("abort", cancel)
  }
}
