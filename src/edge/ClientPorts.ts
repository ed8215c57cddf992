/** The connections of this replica's client listeners, which register here when they are made. */
import { Context, Layer } from "effect"
import type { GrpcServer, OpenConnection } from "../wire/grpc/GrpcServer.ts"

const make = () => {
  const servers = new Set<Pick<GrpcServer, "connections">>()
  return {
    add: (server: Pick<GrpcServer, "connections">) => void servers.add(server),
    connections: (): ReadonlyArray<OpenConnection> =>
      [...servers].flatMap(({ connections }) => [...connections]),
  } as const
}

export class ClientPorts extends Context.Tag("holdfast/ClientPorts")<ClientPorts, ReturnType<typeof make>>() {
  static layer = Layer.sync(ClientPorts, make)
}
