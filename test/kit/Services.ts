/** Requests to services by their host names: names under `.localhost` need no resolver here. */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "./Calls.ts"
import type { TestCluster } from "./Cluster.ts"

export interface Exposed {
  /** `default--name.openshell.localhost` */
  readonly hostname: string
  readonly url: string
}

export const expose = async (
  cluster: TestCluster,
  sandbox: string,
  targetPort: number,
  service = "",
  via = cluster.names[0] ?? "",
): Promise<Exposed> => {
  const { url } = await callUnary(await cluster.connection(via), OpenShell.method.exposeService, {
    sandbox,
    service,
    targetPort,
  })
  return { url, hostname: new URL(url).hostname }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly trailers: IncomingMessage["trailers"]
  readonly body: Buffer
}

export interface Asked extends RequestOptions {
  readonly body?: Buffer | undefined
}

export const portOf = (cluster: TestCluster, replica: string): number =>
  Number(new URL(cluster.replica(replica).url).port)

/** One request by HTTP/1.1 to that port of loopback under that name; rejects when the answer breaks off. */
export const ask = (port: number, hostname: string, path: string, options: Asked = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { body, headers, ...rest } = options
    const request = httpRequest({
      host: "127.0.0.1",
      port,
      path,
      ...rest,
      headers: { host: `${hostname}:${port}`, ...headers },
      timeout: 30_000,
    })
    request.once("timeout", () => request.destroy(new Error(`no answer to ${path} in 30 s`)))
    request.once("error", reject)
    request.once("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.once("error", reject)
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          trailers: response.trailers,
          body: Buffer.concat(chunks),
        }),
      )
    })
    request.end(body)
  })
