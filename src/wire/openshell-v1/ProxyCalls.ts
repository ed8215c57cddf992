/**
 * The calls of `holdfast ssh-proxy`. It runs once per ssh, scp and git command, so these load no descriptors: their
 * messages are read and written field by field (numbers from `sandbox.proto`, `exec.proto`, `extension.proto`).
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import type { ForwardStart } from "../../domain/Forward.ts"
import type { RelayTarget } from "../../domain/Sandbox.ts"
import type { SandboxName } from "../../domain/SandboxRequests.ts"
import type { CalledMethod } from "../Method.ts"

/** Field number of our extensions in OpenShell's messages. */
const extension = 47_001

const path = (method: string): string => `/openshell.v1.OpenShell/${method}`

const textField = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  value === "" ? writer : writer.tag(field, WireType.LengthDelimited).string(value)

const open = (writer: BinaryWriter, field: number): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).fork()

/** The last value of a length-delimited field; empty when absent. */
const bytesField = (message: Uint8Array, wanted: number): Uint8Array => {
  const reader = new BinaryReader(message)
  let found: Uint8Array = new Uint8Array()
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === wanted && wireType === WireType.LengthDelimited) found = reader.bytes()
    else reader.skip(wireType, field)
  }
  return found
}

const text = (message: Uint8Array, field: number): string =>
  Buffer.from(bytesField(message, field)).toString("utf8")

const oneText = (value: string): Uint8Array => textField(new BinaryWriter(), 1, value).finish()

const targetField = (writer: BinaryWriter, target: RelayTarget | undefined): void => {
  if (target === undefined) return
  open(writer, target.kind === "ssh" ? 5 : 6)
  if (target.kind === "tcp") textField(writer, 1, target.host).tag(2, WireType.Varint).uint32(target.port)
  writer.join()
}

/** TcpForwardFrame{init = 1: {sandbox_id = 1, service_id = 4, ssh = 5 or tcp = 6, token = 7, holdfast = 47001}} */
const encodeForward = ({ sandboxId, serviceId, target, token, carrier }: ForwardStart): Uint8Array => {
  const writer = open(new BinaryWriter(), 1)
  textField(textField(writer, 1, sandboxId), 4, serviceId)
  targetField(writer, target)
  textField(writer, 7, token)
  if (carrier !== undefined) {
    open(writer, extension).tag(1, WireType.LengthDelimited).bytes(Buffer.from(carrier.key, "hex"))
    textField(writer, 2, carrier.kind)
    if (carrier.resumed) writer.tag(3, WireType.Varint).bool(true)
    writer.join()
  }
  return writer.join().finish()
}

/** The sandbox's id by its name. SandboxResponse{sandbox = 1: {metadata = 1: {id = 1}}} */
const sandboxId: CalledMethod<SandboxName, string> = {
  path: path("GetSandbox"),
  encodeRequest: ({ name, workspace }) =>
    textField(textField(new BinaryWriter(), 1, name), 2, workspace).finish(),
  decodeResponse: (response) => text(bytesField(bytesField(response, 1), 1), 1),
}

/** A new token for the sandbox of that id. */
const createToken: CalledMethod<string, string> = {
  path: path("CreateSshSession"),
  encodeRequest: oneText,
  decodeResponse: (response) => text(response, 2),
}

const revokeToken: CalledMethod<string, undefined> = {
  path: path("RevokeSshSession"),
  encodeRequest: oneText,
  decodeResponse: () => undefined,
}

export const proxyCalls = { sandboxId, createToken, revokeToken }

/** After its first message come bytes. */
export const forwardCall: Pick<CalledMethod<ForwardStart, never>, "path" | "encodeRequest"> = {
  path: path("ForwardTcp"),
  encodeRequest: encodeForward,
}
