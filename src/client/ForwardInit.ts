/**
 * The opening frame of `ForwardTcp`, written field by field (numbers from `exec.proto` and `extension.proto`):
 * `holdfast ssh-proxy` runs once per ssh command and loads no descriptors.
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire"

export interface ForwardInit {
  readonly sandboxId: string
  /** Label for the logs of gateways. */
  readonly serviceId: string
  /** Absent: the sandbox's SSH server. */
  readonly tcp?: { readonly host: string; readonly port: number } | undefined
  readonly token: string
  /** The relay may be a carrier of the stream with this key. */
  readonly carrier: { readonly key: Uint8Array; readonly kind: string; readonly resumed: boolean }
}

/** Field number of our extensions in OpenShell's messages. */
const extension = 47_001

export const textField = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  value === "" ? writer : writer.tag(field, WireType.LengthDelimited).string(value)

const open = (writer: BinaryWriter, field: number): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).fork()

/** TcpForwardFrame{init = 1: {sandbox_id = 1, service_id = 4, ssh = 5 or tcp = 6, token = 7, holdfast = 47001}} */
export const encodeForwardInit = ({ sandboxId, serviceId, tcp, token, carrier }: ForwardInit): Uint8Array => {
  const writer = open(new BinaryWriter(), 1)
  textField(textField(writer, 1, sandboxId), 4, serviceId)
  open(writer, tcp === undefined ? 5 : 6)
  if (tcp !== undefined) textField(writer, 1, tcp.host).tag(2, WireType.Varint).uint32(tcp.port)
  textField(writer.join(), 7, token)
  open(writer, extension).tag(1, WireType.LengthDelimited).bytes(carrier.key)
  textField(writer, 2, carrier.kind)
  if (carrier.resumed) writer.tag(3, WireType.Varint).bool(true)
  writer.join()
  return writer.join().finish()
}
