/**
 * Keys and certificates of a local cluster, made on the first start and used again on the next: a CA of its
 * own, one certificate per replica for mutual TLS between replicas, and the key that signs sandbox tokens.
 */
import "reflect-metadata"
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from "node:crypto"
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises"
import path from "node:path"
import * as x509 from "@peculiar/x509"
import { Data, Effect } from "effect"
import { limits } from "../domain/Limits.ts"

export class PkiError extends Data.TaggedError("PkiError")<{ readonly message: string }> {}

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

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, PkiError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      new PkiError({ message: `${what}: ${error instanceof Error ? error.message : String(error)}` }),
  })

/** Complete or not there at all, and private in either case. */
const put = async (file: string, content: string): Promise<void> => {
  const fresh = `${file}.${randomBytes(4).toString("hex")}`
  await writeFile(fresh, content, { mode: 0o600 })
  await rename(fresh, file)
}

const privatePem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString()
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

const validity = (days: number) => ({
  // Clocks of containers differ a little.
  notBefore: new Date(Date.now() - 3_600_000),
  notAfter: new Date(Date.now() + days * dayMs),
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

const replicaUri = (clusterId: string, name: string): string =>
  `spiffe://holdfast/${clusterId}/replica/${name}`

const makeReplica = async (issuer: Issuer, clusterId: string, name: string) => {
  const key = newKey()
  const keys = forLibrary(key)
  const ca = new x509.X509Certificate(issuer.certificate.raw)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: ca.subject,
    ...validity(limits.replicaCertificateDays),
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

const ensureCa = async (directory: string, clusterId: string): Promise<Issuer> => {
  const certFile = path.join(directory, "ca.pem")
  const keyFile = path.join(directory, "ca.key")
  const found = await load(certFile, keyFile)
  // It must outlive the certificates that it signs.
  if (found !== undefined && outlives(found.certificate, limits.replicaCertificateDays)) return found
  const { certificate, key } = await makeCa(clusterId)
  await put(keyFile, privatePem(key))
  await put(certFile, certificate)
  return { certificate: new X509Certificate(certificate), key }
}

const isUsable = (leaf: Issuer, issuer: Issuer, clusterId: string, name: string): boolean =>
  leaf.certificate.checkIssued(issuer.certificate) &&
  leaf.certificate.verify(issuer.certificate.publicKey) &&
  outlives(leaf.certificate, limits.replicaCertificateRenewDays) &&
  (leaf.certificate.subjectAltName ?? "").split(", ").includes(`URI:${replicaUri(clusterId, name)}`)

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
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await chmod(directory, 0o700)
    const issuer = await ensureCa(directory, clusterId)
    const files: PeerFiles = {
      ca: path.join(directory, "ca.pem"),
      cert: path.join(directory, `${name}.pem`),
      key: path.join(directory, `${name}.key`),
    }
    const found = await load(files.cert, files.key)
    if (found === undefined || !isUsable(found, issuer, clusterId, name)) {
      const made = await makeReplica(issuer, clusterId, name)
      await put(files.key, privatePem(made.key))
      await put(files.cert, made.certificate)
    }
    return files
  })

/** Key id of a sandbox token key: the first 16 bytes of the SHA-256 of its SPKI (wire contract 4.2). */
const keyId = (publicKey: KeyObject): string =>
  createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex")
    .slice(0, 32)

/**
 * The directory of HOLDFAST_JWT_DIR: `signing.pem` (Ed25519, PKCS#8), `public.pem` (SPKI), `kid`. A signing key
 * that exists is never replaced, because running sandboxes hold tokens of it.
 */
export const ensureJwtKeys = (directory: string): Effect.Effect<{ readonly kid: string }, PkiError> =>
  attempt(`cannot make the keys for sandbox tokens in ${directory}`, async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const signingFile = path.join(directory, "signing.pem")
    const existing = await readFile(signingFile, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined
      throw error
    })
    const key =
      existing === undefined ? generateKeyPairSync("ed25519").privateKey : createPrivateKey(existing)
    const publicKey = createPublicKey(key)
    const kid = keyId(publicKey)
    if (existing === undefined) await put(signingFile, privatePem(key))
    await put(
      path.join(directory, "public.pem"),
      publicKey.export({ type: "spki", format: "pem" }).toString(),
    )
    await put(path.join(directory, "kid"), `${kid}\n`)
    return { kid }
  })
