/** Commands in a sandbox: by `exec`, and by a terminal on its main process. */
import { createHash, randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { spawn as spawnPty } from "@lydell/node-pty"
import { Failed, mustRun } from "../Run.ts"
import type { Place } from "../Stage.ts"
import { type App, type Case, equal, includes, type Use, until } from "./Case.ts"

const inSandbox = (app: App, ...command: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...["sandbox", "exec", "-n", app.name, "--no-tty", "--"],
  ...command,
]
const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex")
const largeBytes = 16 * 1_048_576
/** Of ExecSandbox.stdin; a whole message has at most 1 MiB. */
const inputBytes = 1_000_000

/** A terminal on the command line, at which somebody types. */
const terminal = async (use: Use, app: Place, args: ReadonlyArray<string>) => {
  const env = use.environment(await use.stage.endpoint(app.id))
  const pty = spawnPty(use.tools.openshell, [...args], { name: "xterm", cols: 91, rows: 33, env })
  let text = ""
  let code: number | undefined
  pty.onData((chunk) => {
    text += chunk
  })
  pty.onExit(({ exitCode }) => {
    code = exitCode
  })
  const shows = (part: string) =>
    until(`'${part}' on the terminal`, async () => text.includes(part)).catch((error: Error) => {
      pty.kill("SIGKILL")
      throw new Failed(`${error.message}; it shows:\n${text}`)
    })
  return {
    type: (keys: string) => pty.write(keys),
    resize: (cols: number, rows: number) => pty.resize(cols, rows),
    shows,
    hangUp: async () => {
      pty.kill("SIGHUP")
      await until("the command ends", async () => code !== undefined)
    },
    ends: async () => {
      await until("the terminal is left", async () => code !== undefined).catch((error: Error) => {
        pty.kill("SIGKILL")
        throw new Failed(`${error.message}; it shows:\n${text}`)
      })
      return code
    },
  }
}

export const execCases: ReadonlyArray<Case> = [
  {
    name: "exec: exit codes and both outputs",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      for (const code of [0, 1, 7, 255]) {
        const done = await use.cli(inSandbox(app, "sh", "-c", `echo out; echo err >&2; exit ${code}`), {
          of: app,
          code,
        })
        equal([done.stdout.toString(), done.stderr], ["out\n", "err\n"], "the outputs")
      }
      await use.cli(inSandbox(app, "no-such-program"), { of: app, code: 127 })
    },
  },
  {
    name: "exec: odd arguments, directory, variables",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const odd = ["a b", "it's", '"', "$HOME", "`x`", "ü✓", "", "*", "\\", "-n"]
      const { stdout } = await use.cli(inSandbox(app, "printf", "[%s]", ...odd), { of: app })
      equal(stdout.toString(), odd.map((one) => `[${one}]`).join(""), "the arguments")
      const placed = [
        "sandbox",
        "exec",
        "-n",
        app.name,
        "--workdir",
        "/tmp",
        "--env",
        "A=b c",
        "--",
        "sh",
        "-c",
      ]
      equal(await use.text([...placed, "echo $A in $PWD"], { of: app }), "b c in /tmp\n", "where it ran")
    },
  },
  {
    name: "exec: standard input",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const input = randomBytes(inputBytes)
      const { stdout } = await use.cli(inSandbox(app, "cat"), { of: app, input })
      equal(sha256(stdout), sha256(input), "what came back")
    },
  },
  {
    name: "exec: 16 MiB of output",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const script = `head -c ${largeBytes} /dev/urandom | tee big | cat; sha256sum big >&2; rm big`
      const { stdout, stderr } = await use.cli(inSandbox(app, "sh", "-c", script), { of: app })
      equal(stdout.length, largeBytes, "bytes")
      includes(stderr, sha256(stdout))
    },
  },
  {
    name: "exec: timeout",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const timed = ["sandbox", "exec", "-n", app.name, "--timeout", "1", "--", "sleep", "30"]
      await use.cli(timed, { of: app, code: 124 })
    },
  },
  {
    name: "exec: terminal",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const args = ["sandbox", "exec", "-n", app.name, "--tty", "--", "sh", "-c"]
      includes(
        await use.text([...args, "tty; test -t 0 && test -t 1 && echo both"], { of: app }),
        "/dev/pts/",
        "both",
      )
      const at = await terminal(use, app, [...args, 'stty size; read line; echo "read <$line>"; exit 4'])
      await at.shows("33 91")
      at.type("hello there\r")
      await at.shows("read <hello there>")
      equal(await at.ends(), 4, "its exit code")
    },
  },
  {
    name: "connect with ssh, hang up, connect again",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const word = use.name()
      const first = await terminal(use, app, ["sandbox", "connect", app.name])
      await first.shows(`serving ${app.port}`)
      first.type(`${word}\r`)
      await first.shows(`got: ${word}`)
      await first.hangUp()
      const second = await terminal(use, app, ["sandbox", "connect", app.name])
      await second.shows(`got: ${word}`)
      await second.hangUp()
    },
  },
  {
    name: "connect to a terminal, resize, detach by its keys",
    supervisors: "both",
    run: async (use) => {
      const name = use.name()
      const script = 'while read line; do echo "got: $line, $(stty size)"; done'
      await use.cli(["sandbox", "create", "--name", name, "--detach", "--tty", "--", "bash", "-c", script])
      const place = await use.stage.find(name)
      for (const word of ["first", "second"]) {
        const at = await terminal(use, place, ["sandbox", "connect", name])
        if (word === "second") await at.shows("got: first, 33 91")
        at.type(`${word}\r`)
        await at.shows(`got: ${word}, 33 91`)
        at.resize(70, 20)
        await new Promise((resolve) => setTimeout(resolve, 300))
        at.type(`${word} again\r`)
        await at.shows(`got: ${word} again, 20 70`)
        at.type("\x10\x11")
        await at.ends()
      }
      includes(await use.text(["sandbox", "get", name], { of: place }), "Ready")
      await use.cli(["sandbox", "delete", name], { of: place })
    },
  },
  {
    name: "ssh with the configuration that it prints",
    supervisors: "both",
    run: async (use) => {
      const app = await use.app()
      const directory = use.stage.directory()
      const store = { stored: true, env: { XDG_CONFIG_HOME: directory } }
      await use.cli(["gateway", "add", await use.stage.endpoint(app.id), "--name", "cluster"], store)
      const file = `${directory}/ssh`
      const config = await use.text(["sandbox", "ssh-config", app.name], store)
      writeFileSync(file, config)
      const host = /^Host (\S+)/m.exec(config)?.[1] ?? ""
      const env = { ...use.environment(undefined), ...store.env }
      const done = await mustRun("ssh", ["-F", file, host, "echo by ssh; exit 6"], { env, code: 6 })
      equal(done.stdout.toString(), "by ssh\n", "its output")
    },
  },
]
