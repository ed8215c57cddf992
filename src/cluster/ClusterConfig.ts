/** What one replica needs to know to be a member of the cluster. */
import { Context, Layer, type Redacted } from "effect"

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface PeerTlsFiles {
  /** PEM files: the cluster's CA and this replica's certificate and key. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface ClusterSettings {
  readonly clusterId: string
  /** The replica's name; unique among live replicas. */
  readonly name: string
  /** `name/random`: tells this process from an earlier one of the same name. */
  readonly incarnation: string
  readonly version: string
  readonly databaseUrl: Redacted.Redacted<string>
  readonly peerListen: HostPort
  readonly peerAdvertise: HostPort
  /** Where people and supervisors reach this replica. */
  readonly url: string
  readonly peerTls: PeerTlsFiles
  /** The database ends a silent lock session after this long; the cluster then takes over. */
  readonly leaseMs: number
  /** A replica that could not prove its lock session for this long stops acting as owner. */
  readonly fenceMs: number
}

export class ClusterConfig extends Context.Tag("holdfast/ClusterConfig")<ClusterConfig, ClusterSettings>() {
  static layer = (settings: ClusterSettings) => Layer.succeed(ClusterConfig, settings)
}
