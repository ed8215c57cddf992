/** The reconciler in short: now and then some replica wakes the actors whose sandboxes need a look. */
import { Effect } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import type { Cluster } from "./cluster/Cluster.ts"

export const sweep = (cluster: Cluster): void => {
  cluster.kernel.after(limits.sessionSweepMs, () => {
    const replica = cluster.kernel.random.pick([...cluster.replicas.values()].filter((one) => one.up))
    if (replica !== undefined) {
      const { presences, sandboxes } = cluster.database
      const live = replica.locks.members.filter((one) => one.live).map((one) => one.incarnation)
      for (const { id, status } of sandboxes.rows.values()) {
        const presence = presences.rows.get(id)
        const lost =
          presence === undefined || presence.lostAtMs !== undefined || !live.includes(presence.replica)
        const unfinished = status.phase === "Stopping" || status.phase === "Deleting"
        if ((lost && status.phase !== "Stopped") || unfinished)
          replica.process.fork(Effect.exit(replica.ask(id, (actor) => actor.Reconcile({ missingMs: 0 }))))
      }
    }
    sweep(cluster)
  })
}
