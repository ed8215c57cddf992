import { X509Certificate } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import tls from "node:tls"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { ensureReplica, issueReplica, type PeerFiles } from "../../src/auth/PeerCertificates.ts"
import { listenAnywhere } from "../local/Ports.ts"

describe("PeerCertificates", () => {
  let directory = ""
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "holdfast-pki-"))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  const replica = (name: string, clusterId = "holdfast", below = "pki") =>
    Effect.runPromise(ensureReplica({ directory: path.join(directory, below), clusterId, name }))
  const credentials = async (files: PeerFiles) => ({
    ca: await readFile(files.ca),
    cert: await readFile(files.cert),
    key: await readFile(files.key),
    minVersion: "TLSv1.3" as const,
  })

  /** What the server saw of the client's certificate, or undefined when it refused. */
  const handshake = async (
    server: PeerFiles,
    client: PeerFiles,
    ca = client,
  ): Promise<string | undefined> => {
    const listener = tls.createServer({
      ...(await credentials(server)),
      requestCert: true,
      rejectUnauthorized: true,
    })
    const seen = new Promise<string | undefined>((resolve) => {
      listener.on("secureConnection", (socket) => {
        socket.on("error", () => undefined)
        resolve(socket.getPeerCertificate().subjectaltname)
        socket.end()
      })
      listener.on("tlsClientError", () => resolve(undefined))
    })
    const port = await listenAnywhere(listener)
    const socket = tls.connect({
      host: "127.0.0.1",
      port,
      ...(await credentials(client)),
      ca: await readFile(ca.ca),
    })
    socket.on("error", () => undefined).resume()
    const names = await seen
    socket.destroy()
    await new Promise((resolve) => listener.close(resolve))
    return names
  }

  it("issues certificates with which two replicas authenticate each other over TLS", async () => {
    const names = await handshake(await replica("replica-1"), await replica("replica-2"))
    expect(names).toContain("URI:spiffe://holdfast/holdfast/replica/replica-2")
    expect(names).toContain("DNS:localhost")
    expect(names).toContain("IP Address:127.0.0.1")
  })

  it("issues nothing that another cluster's CA accepts", async () => {
    const ours = await replica("replica-1")
    const stranger = await replica("replica-1", "holdfast", "other")
    expect(await handshake(ours, stranger, ours)).toBeUndefined()
  })

  it("makes the certificates of one year and the CA of ten", async () => {
    const files = await replica("replica-1")
    const days = async (file: string) => {
      const { validToDate } = new X509Certificate(await readFile(file))
      return Math.round((validToDate.getTime() - Date.now()) / 86_400_000)
    }
    expect(await days(files.cert)).toBe(365)
    expect(await days(files.ca)).toBe(3_650)
    expect(new X509Certificate(await readFile(files.ca)).ca).toBe(true)
    expect(new X509Certificate(await readFile(files.cert)).ca).toBe(false)
  })

  it("uses what it made before, and keeps it private", async () => {
    const files = await replica("replica-1")
    const before = await Promise.all(Object.values(files).map((file) => readFile(file, "utf8")))
    await replica("replica-1")
    expect(await Promise.all(Object.values(files).map((file) => readFile(file, "utf8")))).toEqual(before)
    for (const file of [...Object.values(files), path.join(directory, "pki/ca.key")]) {
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
  })

  it("issues a certificate again when its key, its CA or its cluster changed", async () => {
    const files = await replica("replica-1")
    const first = await readFile(files.cert, "utf8")
    await writeFile(files.key, await readFile((await replica("replica-2")).key))
    await replica("replica-1")
    const second = await readFile(files.cert, "utf8")
    expect(second).not.toBe(first)
    await replica("replica-1", "another")
    const third = await readFile(files.cert, "utf8")
    expect(third).not.toBe(second)
    await rm(path.join(directory, "pki/ca.key"))
    await replica("replica-1", "another")
    expect(await readFile(files.cert, "utf8")).not.toBe(third)
    expect(await handshake(files, files)).toContain("replica-1")
  })

  it("issues the certificate of a replica elsewhere than the authority lies, as a pod does", async () => {
    const other = await replica("replica-1")
    const out = path.join(directory, "run/peer")
    const issue = (caDirectory: string) =>
      Effect.runPromise(
        Effect.either(issueReplica({ caDirectory, out, clusterId: "holdfast", name: "pod-1" })),
      )
    const issued = Either.getOrThrow(await issue(path.join(directory, "pki")))
    expect(await handshake(other, issued)).toContain("URI:spiffe://holdfast/holdfast/replica/pod-1")
    expect((await readdir(out)).sort()).toEqual(["ca.pem", "replica.key", "replica.pem"])
    expect((await stat(issued.key)).mode & 0o777).toBe(0o600)
  })

  it("makes no authority when it is to issue a certificate and there is none", async () => {
    const caDirectory = path.join(directory, "nowhere")
    const failure = await Effect.runPromise(
      Effect.flip(issueReplica({ caDirectory, out: directory, clusterId: "holdfast", name: "pod-1" })),
    )
    expect(failure.message).toContain("cannot issue the certificate of replica pod-1")
    expect(failure.message).toContain("nowhere/ca.pem")
    expect(existsSync(caDirectory)).toBe(false)
  })
})
