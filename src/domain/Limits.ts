/**
 * Every limit, timeout and size of Holdfast, in one table with its unit and the reason for its value.
 * `docs/reference/limits.md` is printed from it.
 */
type Row = readonly [value: number, unit: string, reason: string]

export const limitsTable = {
  // gRPC wire
  inboundMessageBytes: [1_048_576, "bytes", "OpenShell 0.0.111 refuses larger inbound messages"],
  keepaliveIntervalMs: [20_000, "ms", "OpenShell 0.0.111 server PING interval"],
  keepaliveTimeoutMs: [10_000, "ms", "OpenShell 0.0.111 closes a connection without PING ack"],
  clientKeepaliveIntervalMs: [10_000, "ms", "interval of OpenShell 0.0.111 supervisors and CLIs"],
  clientKeepaliveTimeoutMs: [20_000, "ms", "ack timeout of OpenShell 0.0.111 supervisors and CLIs"],
  streamWindowBytes: [4 * 1_048_576, "bytes", "measured: bulk relays crawl on the 64 KiB default"],
  sessionWindowBytes: [16 * 1_048_576, "bytes", "four full stream windows per connection"],
  connectTimeoutMs: [10_000, "ms", "connect timeout of OpenShell 0.0.111 supervisors and CLIs"],

  // sessions
  heartbeatIntervalMs: [15_000, "ms", "OpenShell 0.0.111 heartbeat"],
  helloTimeoutMs: [10_000, "ms", "a session stream that says nothing holds a slot; one connect timeout"],
  sessionOutboundMessages: [64, "messages", "OpenShell 0.0.111 session queue"],
  sessionWaitMs: [15_000, "ms", "OpenShell 0.0.111 waits this long for a session before refusing a caller"],
  sessionGraceMs: [30_000, "ms", "a lost session keeps its sandbox Ready this long; two heartbeats"],
  attachTimeoutMs: [10_000, "ms", "an attach spans at most one shard takeover and one database stall"],
  retiredInstances: [8, "instances", "superseded instance ids remembered per sandbox, newest first"],

  // relays
  relayPendingPerSandbox: [32, "relays", "OpenShell 0.0.111 pending relays per sandbox"],
  relayPendingPerProcess: [256, "relays", "OpenShell 0.0.111 pending relays per process"],
  relayClaimTimeoutMs: [10_000, "ms", "OpenShell 0.0.111 claim timeout"],
  relayCloseNoticeMs: [10_000, "ms", "deadline for telling an owner that a relay closed"],
  connectionsPerToken: [3, "connections", "OpenShell 0.0.111 SSH connections per token"],
  connectionsPerSandbox: [20, "connections", "OpenShell 0.0.111 SSH connections per sandbox"],
  peerTicketMs: [10_000, "ms", "a peer leg arrives within the claim timeout or not at all"],
  peerTickets: [1_024, "tickets", "four processes' pending relays waiting for their peer leg"],

  // names and sizes of requests
  nameLength: [19, "characters", "OpenShell 0.0.111: service host names join three names in one label"],
  listDefault: [100, "items", "OpenShell 0.0.111 page size"],
  listMax: [1_000, "items", "OpenShell 0.0.111 page size"],
  labelSelectorPairs: [64, "pairs", "OpenShell 0.0.111"],
  mapEntries: [128, "entries", "OpenShell 0.0.111 labels, annotations and environment"],
  environmentKeyBytes: [256, "bytes", "OpenShell 0.0.111"],
  environmentValueBytes: [8_192, "bytes", "OpenShell 0.0.111"],
  environmentTotalBytes: [262_144, "bytes", "OpenShell 0.0.111"],
  sandboxProviders: [32, "providers", "OpenShell 0.0.111"],
  templateStringBytes: [1_024, "bytes", "OpenShell 0.0.111"],
  templateStructBytes: [65_536, "bytes", "OpenShell 0.0.111"],
  policyBytes: [262_144, "bytes", "OpenShell 0.0.111"],
  logLevelLength: [32, "characters", "OpenShell 0.0.111"],
  mainArguments: [256, "arguments", "OpenShell 0.0.111"],
  mainCommandBytes: [262_144, "bytes", "OpenShell 0.0.111"],

  // exec
  execArguments: [1_024, "arguments", "OpenShell 0.0.111"],
  execArgumentBytes: [32_768, "bytes", "OpenShell 0.0.111"],
  execCommandBytes: [262_144, "bytes", "OpenShell 0.0.111 rendered command"],
  execWorkdirBytes: [4_096, "bytes", "OpenShell 0.0.111"],
  execDrainMs: [500, "ms", "OpenShell 0.0.111 wait for output after the exit status"],
  execChunkBytes: [65_536, "bytes", "one event stays far below the 4 MiB decode limit of clients"],

  // ssh sessions
  sshSessionTtlMs: [86_400_000, "ms", "OpenShell 0.0.111 token life"],

  // logs and watches
  logLinesPerBatch: [100, "lines", "OpenShell 0.0.111 keeps the first lines of a pushed batch"],
  logLinesPerSandbox: [2_000, "lines", "OpenShell 0.0.111 log ring"],
  eventsPerSandbox: [50, "events", "OpenShell 0.0.111 event ring"],
  logTailDefault: [200, "lines", "OpenShell 0.0.111 watch tail"],
  logQueryDefault: [2_000, "lines", "OpenShell 0.0.111 GetSandboxLogs"],
  watchQueue: [256, "events", "OpenShell 0.0.111 watch output queue"],
} as const satisfies Record<string, Row>

export type LimitName = keyof typeof limitsTable

/** The values alone; the unit is in each name or in the table. */
export const limits: { readonly [K in LimitName]: number } = Object.fromEntries(
  Object.entries(limitsTable).map(([name, row]) => [name, row[0]]),
) as { [K in LimitName]: number }
