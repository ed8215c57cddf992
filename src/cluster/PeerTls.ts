/** Mutual TLS between replicas: every replica proves with a certificate of the cluster's CA that it is a member. */
import { readFileSync } from "node:fs"
import type { PeerCertificate, SecureContextOptions, TLSSocket } from "node:tls"
import { Effect } from "effect"
import { FailedPrecondition } from "../domain/Errors.ts"
import type { ClusterSettings } from "./ClusterConfig.ts"

/** What is spoken on a peer connection, negotiated by ALPN: one port serves all three. */
export const peerProtocols = { cluster: "holdfast-cluster/1", edge: "holdfast-edge/1", bytes: "h2" } as const
export type PeerProtocol = (typeof peerProtocols)[keyof typeof peerProtocols]

/** SPIFFE id that a replica's certificate carries as URI. */
export const replicaUri = (clusterId: string, name: string) =>
  `spiffe://holdfast/${clusterId}/replica/${name}`

export interface PeerCredentials extends SecureContextOptions {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

export const loadPeerCredentials = (
  config: Pick<ClusterSettings, "peerTls">,
): Effect.Effect<PeerCredentials, FailedPrecondition> =>
  Effect.try({
    try: () => ({
      ca: readFileSync(config.peerTls.ca),
      cert: readFileSync(config.peerTls.cert),
      key: readFileSync(config.peerTls.key),
      minVersion: "TLSv1.3" as const,
    }),
    catch: (cause) =>
      new FailedPrecondition({
        message: `cannot read the peer certificates: ${cause instanceof Error ? cause.message : cause}. Set HOLDFAST_PEER_CA, HOLDFAST_PEER_CERT and HOLDFAST_PEER_KEY to PEM files.`,
      }),
  })

/** The replica named in a verified certificate, if it is one of this cluster. */
export const replicaOf = (certificate: PeerCertificate, clusterId: string): string | undefined => {
  const prefix = `URI:${replicaUri(clusterId, "")}`
  return (certificate.subjectaltname ?? "")
    .split(", ")
    .find((name) => name.startsWith(prefix))
    ?.slice(prefix.length)
}

/** Who is at the other end of an accepted, verified connection. */
export const peerName = (socket: TLSSocket, clusterId: string): string | undefined =>
  socket.authorized ? replicaOf(socket.getPeerCertificate(), clusterId) : undefined
