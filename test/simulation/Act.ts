/** Does one action of a program to a world. */
import { type Action, clientIndex, databaseIndex } from "./Program.ts"
import { replicaName, sandboxName, tokenName, type World } from "./World.ts"

const processOf = (world: World, index: number) =>
  index === databaseIndex
    ? world.cluster.database.process
    : world.cluster.replicas.get(replicaName(index))?.process

const later = (world: World, forMs: number, run: () => void): void => {
  world.kernel.after(forMs, run)
}

export const act = (world: World, action: Action, number: number): void => {
  const { cluster } = world
  const { database, network } = cluster
  world.kernel.trace.say(world.kernel.nowMs, "program", JSON.stringify(action))
  switch (action.do) {
    case "open":
      world.open({
        name: `call-${number}`,
        sandboxId: sandboxName(action.sandbox),
        token: tokenName(action.token),
        kind: action.stream ? "stream" : "plain",
        bytes: action.bytes,
        pauseMs: action.pauseMs,
        slow: action.bytes % 3 === 0,
      })
      return
    case "close":
      world.client.calls[action.call]?.close()
      return
    case "crash":
      cluster.crash(replicaName(action.replica))
      return
    case "restart":
      if (!cluster.replicas.has(replicaName(action.replica))) cluster.start(replicaName(action.replica))
      return
    case "stop":
      cluster.stop(replicaName(action.replica))
      return
    case "freeze": {
      const process = processOf(world, action.replica)
      if (process === undefined) return
      world.freeze(process, action.tasks)
      later(world, action.forMs, () => process.thaw())
      return
    }
    case "thaw":
      processOf(world, action.replica)?.thaw()
      return
    case "cut": {
      const from = replicaName(action.from)
      const to =
        action.to === databaseIndex
          ? database.process.name
          : action.to === clientIndex
            ? world.client.process.name
            : replicaName(action.to)
      if (from === to) return
      network.cut(from, to)
      if (!action.oneWay) network.cut(to, from)
      later(world, action.forMs, () => network.mend(from, to))
      return
    }
    case "weather":
      network.weather = { loss: action.loss, repeat: action.repeat, late: action.late }
      return
    case "database":
      if (action.how === "stall") {
        database.process.freeze()
        later(world, action.forMs, () => database.process.thaw())
      } else if (action.how === "away") {
        database.away = true
        cluster.table.restart()
        database.restart()
        later(world, action.forMs, () => {
          cluster.table.restart()
          database.away = false
        })
      } else {
        database.failing = 0.1
        later(world, action.forMs, () => {
          database.failing = 0
        })
      }
      return
    case "supervisor": {
      const sandboxId = sandboxName(action.sandbox)
      const supervisor = world.supervisors.get(sandboxId)
      if (supervisor === undefined) return
      if (action.how === "crash") {
        world.restartSupervisor(sandboxId)
        // Some come up twice in a row.
        if (action.forMs % 2 === 1) later(world, action.forMs % 300, () => world.restartSupervisor(sandboxId))
      } else if (action.how === "freeze") {
        world.freeze(supervisor.process, 0)
        later(world, action.forMs, () => supervisor.process.thaw())
      } else
        for (const replica of world.replicas) {
          network.cut(supervisor.process.name, replica.name)
          later(world, action.forMs, () => network.mend(supervisor.process.name, replica.name))
        }
      return
    }
    case "hibernate":
      for (const replica of world.replicas) replica.actors.hibernate(sandboxName(action.sandbox))
      return
    case "lifecycle":
      world.lifecycle(sandboxName(action.sandbox), action.how)
      return
    case "clock": {
      const process = processOf(world, action.replica)
      if (process === undefined) return
      process.wallOffsetMs += action.byMs
      world.watcher.clocksSet = true
      return
    }
    case "revoke":
      world.revoke(tokenName(action.token))
      return
  }
}
