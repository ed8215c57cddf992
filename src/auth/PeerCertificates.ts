/**
 * The certificates of a cluster's replicas: a CA of its own, and one certificate per replica for mutual TLS
 * between them. ECDSA on P-256.
 */
import "reflect-metadata"
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from "node:crypto"
import { readFile } from "node:fs/promises"
import path from "node:path"
import * as x509 from "@peculiar/x509"
import type { Effect } from "effect"
import { replicaUri } from "../cluster/PeerTls.ts"
import { limits } from "../domain/Limits.ts"
import { attempt, ownDirectory, type PkiError, privatePem, putFile } from "./KeyFiles.ts"

/** PEM files, as HOLDFAST_PEER_CA, HOLDFAST_PEER_CERT and HOLDFAST_PEER_KEY take them. */
export interface PeerFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface Issuer {
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

const dayMs = 86_400_000
const signing = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }

const newKey = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
const forLibrary = (key: KeyObject) => ({
  privateKey: key.toCryptoKey(signing, true, ["sign"]),
  publicKey: createPublicKey(key).toCryptoKey(signing, true, ["verify"]),
})

/** Positive, as RFC 5280 4.1.2.2 asks. */
const serialNumber = (): string => {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString("hex")
}

const validity = (days: number, latest = Number.POSITIVE_INFINITY) => ({
  // Clocks of containers differ a little.
  notBefore: new Date(Date.now() - 3_600_000),
  notAfter: new Date(Math.min(Date.now() + days * dayMs, latest)),
})

const makeCa = async (clusterId: string): Promise<{ certificate: string; key: KeyObject }> => {
  const key = newKey()
  const keys = forLibrary(key)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=holdfast ${clusterId} CA`,
    ...validity(limits.caDays),
    signingAlgorithm: signing,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: certificate.toString("pem"), key }
}

const makeReplica = async (issuer: Issuer, clusterId: string, name: string) => {
  const key = newKey()
  const keys = forLibrary(key)
  const ca = new x509.X509Certificate(issuer.certificate.raw)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: ca.subject,
    ...validity(limits.replicaCertificateDays, issuer.certificate.validToDate.getTime()),
    signingAlgorithm: signing,
    publicKey: keys.publicKey,
    signingKey: forLibrary(issuer.key).privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: replicaUri(clusterId, name) },
        { type: "dns", value: "localhost" },
        { type: "dns", value: name },
        { type: "ip", value: "127.0.0.1" },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: certificate.toString("pem"), key }
}

/** undefined when a file is missing, unreadable as PEM, or the two do not belong together. */
const load = async (certFile: string, keyFile: string): Promise<Issuer | undefined> => {
  try {
    const certificate = new X509Certificate(await readFile(certFile))
    const key = createPrivateKey(await readFile(keyFile))
    return certificate.checkPrivateKey(key) ? { certificate, key } : undefined
  } catch {
    return undefined
  }
}

const outlives = (certificate: X509Certificate, days: number): boolean =>
  certificate.validToDate.getTime() - Date.now() > days * dayMs

const caFiles = (directory: string) => ({
  cert: path.join(directory, "ca.pem"),
  key: path.join(directory, "ca.key"),
})

const caOf = async (directory: string, clusterId: string): Promise<Issuer> => {
  const files = caFiles(directory)
  const found = await load(files.cert, files.key)
  // It must outlive the certificates that it signs.
  if (found !== undefined && outlives(found.certificate, limits.replicaCertificateDays)) return found
  const { certificate, key } = await makeCa(clusterId)
  await putFile(files.key, privatePem(key))
  await putFile(files.cert, certificate)
  return { certificate: new X509Certificate(certificate), key }
}

const isUsable = (leaf: Issuer, issuer: Issuer, clusterId: string, name: string): boolean =>
  leaf.certificate.checkIssued(issuer.certificate) &&
  leaf.certificate.verify(issuer.certificate.publicKey) &&
  outlives(leaf.certificate, limits.replicaCertificateRenewDays) &&
  (leaf.certificate.subjectAltName ?? "").split(", ").includes(`URI:${replicaUri(clusterId, name)}`)

/** `ca.pem` and `ca.key` in `directory`, made when they are not there or near their end. */
export const ensureCa = (directory: string, clusterId: string): Effect.Effect<void, PkiError> =>
  attempt(`cannot make the certificate authority of cluster ${clusterId}`, async () => {
    await ownDirectory(directory)
    await caOf(directory, clusterId)
  })

/**
 * The certificate of one replica: CN = its name; names `spiffe://holdfast/<clusterId>/replica/<name>`,
 * `localhost`, its name and 127.0.0.1; for client and server use. All files lie in `directory`, mode 0600.
 */
export const ensureReplica = (options: {
  readonly directory: string
  readonly clusterId: string
  readonly name: string
}): Effect.Effect<PeerFiles, PkiError> =>
  attempt(`cannot make the certificate of replica ${options.name}`, async () => {
    const { directory, clusterId, name } = options
    await ownDirectory(directory)
    const issuer = await caOf(directory, clusterId)
    const files: PeerFiles = {
      ca: path.join(directory, "ca.pem"),
      cert: path.join(directory, `${name}.pem`),
      key: path.join(directory, `${name}.key`),
    }
    const found = await load(files.cert, files.key)
    if (found === undefined || !isUsable(found, issuer, clusterId, name)) {
      const made = await makeReplica(issuer, clusterId, name)
      await putFile(files.key, privatePem(made.key))
      await putFile(files.cert, made.certificate)
    }
    return files
  })

/**
 * A new certificate and key of one replica, signed by the CA in `caDirectory` (`ca.pem`, `ca.key`), as `ca.pem`,
 * `replica.pem` and `replica.key` in `out`. It never makes a CA: replicas of different ones would not meet.
 */
export const issueReplica = (options: {
  readonly caDirectory: string
  readonly out: string
  readonly clusterId: string
  readonly name: string
}): Effect.Effect<PeerFiles, PkiError> =>
  attempt(`cannot issue the certificate of replica ${options.name}`, async () => {
    const { caDirectory, out, clusterId, name } = options
    const ca = caFiles(caDirectory)
    const issuer = await load(ca.cert, ca.key)
    if (issuer === undefined)
      throw new Error(`${ca.cert} and ${ca.key} are not the certificate and the key of one authority, as PEM`)
    if (!issuer.certificate.ca || !outlives(issuer.certificate, limits.replicaCertificateRenewDays))
      throw new Error(
        `${ca.cert} ends on ${issuer.certificate.validTo} or is not an authority; make a new one`,
      )
    await ownDirectory(out)
    const files: PeerFiles = {
      ca: path.join(out, "ca.pem"),
      cert: path.join(out, "replica.pem"),
      key: path.join(out, "replica.key"),
    }
    const made = await makeReplica(issuer, clusterId, name)
    await putFile(files.key, privatePem(made.key))
    await putFile(files.cert, made.certificate)
    await putFile(files.ca, issuer.certificate.toString())
    return files
  })
