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
  sniffTimeoutMs: [10_000, "ms", "a connection that says nothing is neither HTTP/1 nor HTTP/2"],
  resetBurst: [
    20_000,
    "streams",
    "cancelled calls allowed at once; node's 1,000 cuts a peer that loses many",
  ],
  resetsPerSecond: [2_000, "streams/s", "cancelled calls allowed for long; still bounds a rapid-reset flood"],
  frameBytes: [16_384, "bytes", "HTTP/2 default"],
  frameCopyBytes: [4_096, "bytes", "below this one write of a copy is cheaper than two writes"],
  responseMessageBytes: [4_194_304, "bytes", "decode limit of tonic clients, applied by ours too"],
  readAheadBytes: [65_536, "bytes", "parsed messages wait in memory up to this; then the stream pauses"],
  errorFlushMs: [10_000, "ms", "a failed call whose peer does not read is reset after this"],
  requestIdLength: [128, "characters", "a caller's x-request-id beyond this is replaced"],

  // cluster
  shards: [300, "shards", "measured: 300 shards lock in 27 ms; must be equal on all replicas"],
  leaseMs: [
    8_000,
    "ms",
    "the database ends a silent lock session; must exceed the fence by a stall of the event loop",
  ],
  fenceMs: [5_000, "ms", "a replica without proof of its locks stops acting before its lease can end"],
  lockKeepaliveMs: [300, "ms", "proof of the lock session; far below the fence, 3 statements/s per replica"],
  lockConnectTimeoutMs: [2_000, "ms", "a reconnect must fit into the fence twice"],
  lockQueryTimeoutMs: [2_000, "ms", "a stalled lock session is dropped while the fence still runs"],
  lockAcquireRetryMs: [25, "ms", "locks of a dead session are freed within milliseconds of its end"],
  lockAcquireBudgetMs: [
    800,
    "ms",
    "hides the one-second pause of the sharding loop, stays below its timeout",
  ],
  databaseRestartGraceMs: [
    2_000,
    "ms",
    "after a restart of the database every replica takes its locks again first",
  ],
  nameTakenWaitMs: [
    12_000,
    "ms",
    "lease plus reaction: a former process of the same name must be gone by then",
  ],
  refreshAssignmentsMs: [100, "ms", "a lost member is seen within this; one statement per poll"],
  shardLockRefreshMs: [1_000, "ms", "answered from memory; bounds how late a lost shard is noticed"],
  shardLockExpirationMs: [6_000, "ms", "Effect Cluster asks for at least three refreshes"],
  sendRetryMs: [50, "ms", "an ask to a shard that is moving is sent again this often"],
  entityIdleMs: [60_000, "ms", "an idle actor hibernates; its truth is in the store and at the edge"],
  entityTerminationMs: [2_000, "ms", "actors hold no state that needs longer"],
  entityMailbox: [4_096, "messages", "Effect Cluster default"],
  peerOpenTimeoutMs: [1_000, "ms", "peers share a network; a slower connect is a failure"],
  peerIdleMs: [180_000, "ms", "unused peer connections are closed"],
  peerReconnectMs: [100, "ms", "pause between attempts to reach a peer"],
  peerCallTimeoutMs: [5_000, "ms", "deadline of a short call between replicas"],

  peerPersistMs: [12_000, "ms", "lease plus reaction: by then a silent replica has answered or left"],
  peerFrameBytes: [1_048_576, "bytes", "fewer, larger HTTP/2 frames between replicas"],
  streamsPerConnection: [65_536, "streams", "relays of one connection; far above all other limits"],
  http2SessionMemoryMb: [
    1_024,
    "MB",
    "Node ends sessions above this; must exceed windows times streams in use",
  ],

  // sessions
  heartbeatIntervalMs: [15_000, "ms", "OpenShell 0.0.111 heartbeat"],
  helloTimeoutMs: [10_000, "ms", "a session stream that says nothing holds a slot; one connect timeout"],
  sessionOutboundMessages: [64, "messages", "OpenShell 0.0.111 session queue"],
  sessionWaitMs: [15_000, "ms", "OpenShell 0.0.111 waits this long for a session before refusing a caller"],
  sessionGraceMs: [30_000, "ms", "a lost session keeps its sandbox Ready this long; two heartbeats"],
  attachTimeoutMs: [10_000, "ms", "an attach spans at most one shard takeover and one database stall"],
  sessionLookMs: [250, "ms", "a caller held for a session also notices a member that left"],
  sessionRetryMs: [50, "ms", "pause before an edge that lost the session is asked again"],
  knownTokens: [256, "tokens", "SSH session tokens an actor remembers as checked"],
  askTimeoutMs: [10_000, "ms", "deadline of an ask to an actor that does not wait for a session"],
  lifecycleTimeoutMs: [60_000, "ms", "deadline of stop, start and delete at the driver"],
  retiredInstances: [8, "instances", "superseded instance ids remembered per sandbox, newest first"],

  sandboxRestarts: [5, "restarts", "a sandbox that keeps ending is an error, not a loop"],

  // relays
  relayPendingPerSandbox: [32, "relays", "OpenShell 0.0.111 pending relays per sandbox"],
  relayPendingPerProcess: [256, "relays", "OpenShell 0.0.111 pending relays per process"],
  relayClaimTimeoutMs: [10_000, "ms", "OpenShell 0.0.111 claim timeout"],
  relayCloseNoticeMs: [10_000, "ms", "deadline for telling an owner that a relay closed"],
  connectionsPerToken: [3, "connections", "OpenShell 0.0.111 SSH connections per token"],
  connectionsPerSandbox: [20, "connections", "OpenShell 0.0.111 SSH connections per sandbox"],
  peerTicketMs: [10_000, "ms", "a peer leg arrives within the claim timeout or not at all"],
  ticketWaitMs: [
    5_000,
    "ms",
    "a held caller gets a fresh ticket this often, so that a ticket in use is never stale",
  ],
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

  // background work
  reconcileConcurrency: [16, "sandboxes", "OpenShell 0.0.111 lifecycle concurrency"],
  reconcileSettleMs: [5_000, "ms", "a sandbox that is being created is not yet missing"],
  sessionSweepMs: [5_000, "ms", "a lost session nobody reported is found within a sixth of the grace period"],
  sandboxSweepMs: [15_000, "ms", "vanished processes are found well within the reference's 60 s"],
  tokenSweepMs: [3_600_000, "ms", "OpenShell 0.0.111 reaps SSH sessions hourly"],
  databaseProbeMs: [5_000, "ms", "OpenShell 0.0.111 readiness probe"],
  databaseProbeTimeoutMs: [2_000, "ms", "OpenShell 0.0.111 readiness probe timeout"],
  drainGraceMs: [
    1_000,
    "ms",
    "calls under way may finish while a replica stops; streams move with a later release",
  ],

  // exec
  execArguments: [1_024, "arguments", "OpenShell 0.0.111"],
  execArgumentBytes: [32_768, "bytes", "OpenShell 0.0.111"],
  execCommandBytes: [262_144, "bytes", "OpenShell 0.0.111 rendered command"],
  execWorkdirBytes: [4_096, "bytes", "OpenShell 0.0.111"],
  execDrainMs: [500, "ms", "OpenShell 0.0.111 wait for output after the exit status"],
  execKeepaliveMs: [15_000, "ms", "OpenShell 0.0.111 SSH keepalive of exec"],
  execKeepaliveCount: [4, "probes", "OpenShell 0.0.111: dead after four unanswered"],
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

  // process driver
  procScanConcurrency: [
    16,
    "reads",
    "scanning /proc must not fill the thread pool's queue of a busy gateway",
  ],
  driverStopGraceMs: [5_000, "ms", "time between TERM and KILL of a sandbox; a shell ends within one second"],
  driverKillTimeoutMs: [5_000, "ms", "KILL works at once unless a process hangs in the kernel"],
  processPollMs: [20, "ms", "interval of looking whether processes are gone; microseconds each"],
  driverLockPollMs: [50, "ms", "interval of asking for the lock of a sandbox"],
  driverLockWaitMs: [20_000, "ms", "a whole stop by another replica: grace, kill and margin"],
  driverLogBytes: [4 * 1_048_576, "bytes", "supervisor log per sandbox; one older file is kept"],
  unixSocketPathBytes: [107, "bytes", "sun_path of unix(7) without its final zero byte"],
  environmentStringBytes: [131_071, "bytes", "MAX_ARG_STRLEN of execve(2) without its final zero byte"],

  // database
  databaseConnections: [
    16,
    "connections",
    "far above the statements that run at once; five replicas stay below 100",
  ],
  databaseConnectMs: [900, "ms", "a caller learns within one second that the database is away"],
  databaseStatementMs: [900, "ms", "as above; every statement here touches few rows by index"],
  databaseCallMs: [950, "ms", "deadline of a store operation: the rest of the second is for the way back"],
  databaseSilenceMs: [
    1_500,
    "ms",
    "an answer is due after the statement timeout; then the connection is dead",
  ],
  databaseTransactionIdleMs: [
    1_000,
    "ms",
    "row locks of a frozen replica hold up its successor at most this long",
  ],
  databaseKeepaliveMs: [
    5_000,
    "ms",
    "idle connections to a lost host are noticed after this and ten probes of one second",
  ],
  databaseIdleMs: [30_000, "ms", "unused pool connections are closed"],
  databaseRetryMaxMs: [
    5_000,
    "ms",
    "longest pause between attempts to reach the database: full service within 5 s",
  ],
  migrationMs: [60_000, "ms", "waiting for another replica's migration, and each statement of our own"],
  migrationTotalMs: [
    600_000,
    "ms",
    "all migrations of a large database; then the start fails and is tried again",
  ],
  migrationIdleMs: [
    5_000,
    "ms",
    "a replica that freezes while it migrates holds up the others at most this long",
  ],
  sqliteBusyMs: [500, "ms", "only another program can hold the file; waiting for it stops the event loop"],
  changedSandboxes: [
    10_000,
    "sandboxes",
    "changes kept apart per subscriber; beyond, it re-reads everything",
  ],
  sshSessionsReaped: [1_000, "tokens", "removed per statement, so that none runs long"],

  // local cluster
  signalRepeatMs: [
    1_000,
    "ms",
    "one Ctrl-C arrives twice through `bun run`, 1 ms apart; a person takes longer",
  ],
  postgresStartMs: [60_000, "ms", "crash recovery of a small database on a slow disk"],
  postgresStopMs: [10_000, "ms", "fast shutdown writes one checkpoint; then immediate shutdown"],
  postgresConnections: [300, "connections", "five replicas with a pool and a lock session each, and tools"],
  frontDoorConnections: [4_096, "connections", "two descriptors each, below half of a usual limit of 20,000"],
  frontDoorConnectMs: [1_000, "ms", "a replica on the same machine accepts at once or not at all"],
  frontDoorHoldMs: [
    5_000,
    "ms",
    "a caller waits this long for a replica to be ready; a restart takes about two",
  ],
  frontDoorPollMs: [50, "ms", "interval of looking for a ready replica for a held caller"],
  readinessIntervalMs: [250, "ms", "a replica that is not ready gets no new connections after this"],
  readinessTimeoutMs: [1_000, "ms", "a frozen replica accepts connections and never answers"],
  localReplicas: [32, "replicas", "three ports each in the hundred that a local cluster uses"],
  localPorts: [101, "ports", "front door, replicas, and Postgres as the last"],
  replicaReadyMs: [60_000, "ms", "a cold start of several Node processes on one busy core"],
  replicaReadyPollMs: [50, "ms", "interval of asking a starting replica whether it is ready"],
  replicaStopMs: [
    15_000,
    "ms",
    "time between TERM and KILL of a local replica; a drain without traffic is short",
  ],
  membershipPollMs: [1_000, "ms", "how soon the front door serves a replica that was started by hand"],
  demonstrationMs: [60_000, "ms", "the first sandbox starts while the machine is busy"],
  caDays: [3_650, "days", "a local cluster's CA lives as long as its state directory is likely to"],
  replicaCertificateDays: [365, "days", "replaced at any start in its last month"],
  replicaCertificateRenewDays: [30, "days", "a replica may run this long without a restart of `up`"],
  localLogBytes: [16 * 1_048_576, "bytes", "a log of a local cluster is set aside at start when larger"],

  // client library and command line
  clientCallTimeoutMs: [30_000, "ms", "a unary call; twice the wait for a session"],
  clientConnectAttempts: [3, "attempts", "connections that a balancer cut; other failures are final"],
  clientConnectPauseMs: [100, "ms", "pause after the first cut connection, growing by itself"],
  clientCallAttempts: [3, "attempts", "repeatable calls whose connection was lost"],
  lifecycleWaitMs: [300_000, "ms", "OpenShell 0.0.111 CLI waits this long for a phase"],
  revokeTimeoutMs: [2_000, "ms", "leaving does not wait long for a token that expires by itself"],
  tokenMarginMs: [60_000, "ms", "a session token this near its end opens no further connection"],
  followRetryMs: [60_000, "ms", "a follower gives up when no replica answers this long; two session graces"],
  transferEntries: [1_000_000, "entries", "files, directories and links of one upload or download"],
  transferPreambleBytes: [65_536, "bytes", "what a login profile may print before a transfer begins"],
  transferMessageBytes: [65_536, "bytes", "error text kept of a remote tar"],

  // supervisor: session and relays
  relayPayloadBytes: [262_144, "bytes", "data of one relay message; a quarter of OpenShell's message limit"],
  supervisorRelays: [4_096, "relays", "open at once in one sandbox; above every limit of a gateway"],
  supervisorDialTimeoutMs: [5_000, "ms", "loopback answers at once; half of the gateway's claim timeout"],
  supervisorEndpointTimeoutMs: [3_000, "ms", "one of several gateway addresses may be dead; the next may not"],
  supervisorAcceptMs: [20_000, "ms", "an attach may take 10 s; twice that, and the next gateway is asked"],
  supervisorLingering: [4, "connections", "former sessions' connections whose relays may still finish"],
  supervisorHeartbeatMinMs: [5_000, "ms", "OpenShell 0.0.111 supervisors beat no faster"],
  reconnectBaseMs: [500, "ms", "first bound of the random pause before a reconnect"],
  reconnectCapMs: [30_000, "ms", "OpenShell 0.0.111 pauses at most this long"],
  reconnectResetMs: [5_000, "ms", "an accepted session that lived this long ends a series of failures"],
  reconnectAdviceMs: [300_000, "ms", "a gateway's advice to wait longer than this is cut to it"],

  // supervisor: calls beside the session
  supervisorCallTimeoutMs: [10_000, "ms", "one unary call of a supervisor, connection included"],
  supervisorStartAttempts: [5, "attempts", "OpenShell 0.0.111 tries its start-up calls this often"],
  supervisorStartPauseMs: [1_000, "ms", "OpenShell 0.0.111 pauses 1, 2, 4, 4 s between start-up attempts"],
  supervisorStartPauseCapMs: [4_000, "ms", "OpenShell 0.0.111 pauses 1, 2, 4, 4 s between start-up attempts"],
  configPollMs: [10_000, "ms", "OpenShell 0.0.111 policy poll"],
  exitReportPauseMs: [250, "ms", "OpenShell 0.0.111 first pause between exit reports"],
  exitReportPauseCapMs: [2_000, "ms", "OpenShell 0.0.111 longest pause between exit reports"],
  tokenRefreshPercent: [
    80,
    "percent",
    "OpenShell 0.0.111 refreshes after this part of a token's remaining life",
  ],
  tokenRefreshSpreadPercent: [9, "percent", "random addition, so that a fleet does not refresh at once"],
  tokenRefreshMinMs: [1_000, "ms", "OpenShell 0.0.111 shortest wait before a refresh"],
  tokenRefreshMaxMs: [43_200_000, "ms", "OpenShell 0.0.111 longest wait before a refresh"],
  tokenRefreshUnknownMs: [21_600_000, "ms", "OpenShell 0.0.111 wait when a token names no expiry"],
  tokenRefreshRetryMs: [10_000, "ms", "OpenShell 0.0.111 pause after a failed refresh"],
  tokenFileBytes: [65_536, "bytes", "a token is a few hundred bytes; more is the wrong file"],
  logPushLines: [50, "lines", "OpenShell 0.0.111 batch"],
  logPushIntervalMs: [500, "ms", "OpenShell 0.0.111 sends an unfull batch after this"],
  logPushPollMs: [50, "ms", "how often a filling batch is looked at"],
  logPushQueue: [1_024, "lines", "OpenShell 0.0.111 lines waiting for a batch; the oldest give way"],
  logPushBacklog: [200, "lines", "OpenShell 0.0.111 lines kept while no stream is open"],
  logPushPauseMs: [1_000, "ms", "OpenShell 0.0.111 first pause before log push reconnects"],
  logPushPauseCapMs: [30_000, "ms", "OpenShell 0.0.111 longest pause before log push reconnects"],
  logLineBytes: [16_384, "bytes", "longer lines are cut: a full batch stays below the message limit"],

  // supervisor: processes and SSH
  childKillGraceMs: [2_000, "ms", "between TERM and KILL for a process whose channel is gone"],
  supervisorStopMs: [5_000, "ms", "from SIGTERM to the end of a supervisor"],
  groupPollMs: [20, "ms", "how often a group that was told to end is looked at"],
  mainDrainMs: [1_000, "ms", "attached terminals get the last output of a main process for this long"],
  childQuietMs: [500, "ms", "output silent this long after the exit is held by background processes only"],
  ptyQuietMs: [100, "ms", "a terminal silent this long after the exit is closed as sshd does"],
  ptyWriteRetryMs: [5, "ms", "a terminal whose input queue is full is tried again"],
  mainOutputBytes: [1_048_576, "bytes", "OpenShell 0.0.111 replays this much output to who attaches"],
  mainReadBytes: [65_536, "bytes", "output sent to an attached terminal at once"],
  mainStallMs: [10_000, "ms", "a slow terminal may hold back its main process this long"],
  mainAttachments: [32, "attachments", "terminals on one main process"],
  sshSessionsPerConnection: [64, "channels", "sessions of one SSH connection; OpenSSH allows 10"],
  sshForwardsPerConnection: [
    256,
    "channels",
    "direct-tcpip channels of one SSH connection; a browser opens dozens",
  ],
  sshConnections: [1_024, "connections", "SSH connections to one sandbox"],
  sshAuthTimeoutMs: [30_000, "ms", "an SSH connection without a user holds a slot; sshd allows 120 s"],
  pipePool: [12, "pipes", "made ahead; three for each of four commands"],
  pipeHelperMs: [5_000, "ms", "a shell makes pipes in milliseconds; one that does not is given up"],
  sftpHandles: [256, "handles", "open files and directories of one sftp session; OpenSSH allows about 1,000"],
  sftpPacketBytes: [270_336, "bytes", "256 KiB of data and its header, as OpenSSH's own server accepts"],
  sftpDataBytes: [261_120, "bytes", "255 KiB for one read or write, as OpenSSH's own server offers"],
  sftpRequests: [128, "requests", "unanswered requests of one sftp session; OpenSSH clients send 64 ahead"],
  sftpDirectoryEntries: [
    100,
    "entries",
    "names in one answer to a directory read, as OpenSSH's own server sends",
  ],
} as const satisfies Record<string, Row>

export type LimitName = keyof typeof limitsTable

/** The values alone; the unit is in each name or in the table. */
export const limits: { readonly [K in LimitName]: number } = Object.fromEntries(
  Object.entries(limitsTable).map(([name, row]) => [name, row[0]]),
) as { [K in LimitName]: number }
