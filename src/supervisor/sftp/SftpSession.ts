/**
 * SFTP version 3 over one SSH channel, with the extensions that OpenSSH's clients use. Written here because the
 * library's own server announces no extensions, decodes names as text, and answers without bound to a client
 * that does not read.
 */
import type { ServerChannel } from "ssh2"
import { limits } from "../../domain/Limits.ts"
import { errorAnswer, statusAnswer } from "./Answers.ts"
import * as Files from "./FileRequests.ts"
import { Handles } from "./Handles.ts"
import {
  MalformedPacket,
  PacketReader,
  PacketSplitter,
  PacketWriter,
  Request,
  Response,
  SftpStatus,
} from "./Packet.ts"
import * as Paths from "./PathRequests.ts"

const protocolVersion = 3

const extensions: ReadonlyMap<string, { readonly version: string; readonly handle: Files.RequestHandler }> =
  new Map([
    ["posix-rename@openssh.com", { version: "1", handle: Paths.renameReplacing }],
    ["hardlink@openssh.com", { version: "1", handle: Paths.hardLink }],
    ["fsync@openssh.com", { version: "1", handle: Files.syncFile }],
    ["lsetstat@openssh.com", { version: "1", handle: Paths.setLinkOwnAttributes }],
    ["statvfs@openssh.com", { version: "2", handle: Paths.fileSystemStats }],
    ["expand-path@openssh.com", { version: "1", handle: Paths.expandPath }],
    ["limits@openssh.com", { version: "1", handle: async (id) => limitsAnswer(id) }],
  ])

const handlers: ReadonlyMap<number, Files.RequestHandler> = new Map<number, Files.RequestHandler>([
  [Request.OPEN, Files.openFile],
  [Request.CLOSE, Files.closeHandle],
  [Request.READ, Files.readFile],
  [Request.WRITE, Files.writeFile],
  [Request.LSTAT, Paths.lstatPath],
  [Request.FSTAT, Files.statHandle],
  [Request.SETSTAT, Paths.setAttributes],
  [Request.FSETSTAT, Files.setHandleAttributes],
  [Request.OPENDIR, Files.openDirectory],
  [Request.READDIR, Files.readDirectory],
  [Request.REMOVE, Paths.removeFile],
  [Request.MKDIR, Paths.makeDirectory],
  [Request.RMDIR, Paths.removeDirectory],
  [Request.REALPATH, Paths.realPath],
  [Request.STAT, Paths.statPath],
  [Request.RENAME, Paths.renameToNew],
  [Request.READLINK, Paths.readLink],
  [Request.SYMLINK, Paths.makeSymlink],
])

const versionAnswer = (): Buffer => {
  const writer = new PacketWriter(Response.VERSION).uint32(protocolVersion)
  for (const [name, { version }] of extensions) writer.string(name).string(version)
  return writer.finish()
}

const limitsAnswer = (id: number): Buffer =>
  new PacketWriter(Response.EXTENDED)
    .uint32(id)
    .uint64(limits.sftpPacketBytes)
    .uint64(limits.sftpDataBytes)
    .uint64(limits.sftpDataBytes)
    .uint64(limits.sftpHandles)
    .finish()

const answerTo = async (packet: Buffer, context: Files.RequestContext): Promise<Buffer> => {
  const reader = new PacketReader(packet)
  const type = reader.byte()
  if (type === Request.INIT) return versionAnswer()
  const id = reader.uint32()
  try {
    const handler =
      type === Request.EXTENDED
        ? extensions.get(reader.string().toString("latin1"))?.handle
        : handlers.get(type)
    if (handler === undefined) return statusAnswer(id, SftpStatus.OP_UNSUPPORTED, "Operation unsupported")
    return await handler(id, reader, context)
  } catch (cause) {
    if (cause instanceof MalformedPacket) throw cause
    return errorAnswer(id, cause)
  }
}

/** Serves until the client ends; requests are carried out one after the other, in order. */
export const serveSftp = (
  channel: ServerChannel,
  options: { readonly workdir: string; readonly gone: Promise<void> },
): void => {
  const handles = new Handles()
  const splitter = new PacketSplitter(limits.sftpPacketBytes)
  const context: Files.RequestContext = { workdir: options.workdir, handles }
  const waiting: Buffer[] = []
  let working = false
  let inputEnded = false
  let over = false

  const finish = (code: number): void => {
    if (over) return
    over = true
    waiting.length = 0
    void handles.closeAll()
    channel.exit(code)
    channel.end()
  }
  const work = async (): Promise<void> => {
    if (working) return
    working = true
    for (let packet = waiting.shift(); packet !== undefined && !over; packet = waiting.shift()) {
      if (waiting.length < limits.sftpRequests) channel.resume()
      const answer = await answerTo(packet, context)
      if (!over && !channel.write(answer)) await drained(channel, options.gone)
    }
    working = false
    if (inputEnded) finish(0)
  }
  const run = (): void => void work().catch(() => finish(1))

  channel.on("error", () => undefined)
  channel.on("data", (chunk: Buffer) => {
    try {
      waiting.push(...splitter.push(chunk))
    } catch {
      finish(1)
      return
    }
    if (waiting.length >= limits.sftpRequests) channel.pause()
    run()
  })
  channel.once("end", () => {
    inputEnded = true
    run()
  })
  void options.gone.then(() => {
    over = true
    void handles.closeAll()
  })
}

const drained = (channel: ServerChannel, gone: Promise<void>): Promise<void> =>
  Promise.race([gone, new Promise<void>((resolve) => void channel.once("drain", resolve))])
