"""The streaming methods by grpcio and OpenShell's own stubs: `stack.py CASE HOST:PORT SANDBOX PORT`."""

import hashlib
import os
import queue
import sys
import threading
import time
import uuid

import grpc
from openshell._proto import openshell_pb2 as pb
from openshell._proto import openshell_pb2_grpc

DEADLINE = 60
WORKSPACE = "default"


class Requests:
    """A stream of requests that somebody writes while it is sent."""

    def __init__(self) -> None:
        self._queue: queue.Queue = queue.Queue(maxsize=64)

    def send(self, message) -> None:
        self._queue.put(message, timeout=DEADLINE)

    def close(self) -> None:
        self._queue.put(None)

    def __iter__(self):
        while (message := self._queue.get()) is not None:
            yield message


def identify(stub, name: str) -> str:
    return stub.GetSandbox(pb.GetSandboxRequest(name=name, workspace=WORKSPACE), timeout=DEADLINE).sandbox.metadata.id


def exec_(stub, name: str, _port: int) -> None:
    size = 8 * 1024 * 1024
    request = pb.ExecSandboxRequest(
        sandbox_id=identify(stub, name),
        command=["sh", "-c", f"head -c {size} /dev/zero; echo done >&2; exit 3"],
    )
    out, err, code = 0, b"", None
    for event in stub.ExecSandbox(request, timeout=DEADLINE):
        kind = event.WhichOneof("payload")
        assert code is None, "something came after the exit"
        if kind == "stdout":
            out += len(event.stdout.data)
        elif kind == "stderr":
            err += event.stderr.data
        else:
            code = event.exit.exit_code
    assert (out, err, code) == (size, b"done\n", 3), (out, err, code)


def exec_cancel(stub, name: str, _port: int) -> None:
    """A call that its client gives up ends the process."""
    sandbox = identify(stub, name)
    mark = f"10{uuid.uuid4().int % 10**6}"
    call = stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=sandbox, command=["sh", "-c", f"echo up; exec sleep {mark}"]), timeout=DEADLINE
    )
    assert next(call).stdout.data == b"up\n"
    call.cancel()
    look = pb.ExecSandboxRequest(sandbox_id=sandbox, command=["sh", "-c", f"pgrep -f '^sleep {mark}' || true"])
    for _ in range(100):
        if all(event.WhichOneof("payload") == "exit" for event in stub.ExecSandbox(look, timeout=DEADLINE)):
            return
        time.sleep(0.1)
    raise AssertionError("the process outlives its client")


def interactive(stub, name: str, _port: int) -> None:
    requests = Requests()
    start = pb.ExecSandboxRequest(
        sandbox_id=identify(stub, name),
        command=["sh", "-c", 'stty size; read go; stty size; echo "[$go]"; exit 5'],
        tty=True,
    )
    requests.send(pb.ExecSandboxInput(start=start))
    call = stub.ExecSandboxInteractive(iter(requests), timeout=DEADLINE)
    text, code = b"", None
    stage = 0
    for event in call:
        kind = event.WhichOneof("payload")
        if kind == "stdout":
            text += event.stdout.data
        elif kind == "exit":
            code = event.exit.exit_code
        if stage == 0 and b"24 80" in text:
            stage = 1
            requests.send(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=101, rows=44)))
            time.sleep(0.3)
            requests.send(pb.ExecSandboxInput(stdin="wörd\n".encode()))
    requests.close()
    assert code == 5 and b"44 101" in text and "[wörd]".encode() in text, (code, text)


def interactive_pipes(stub, name: str, _port: int) -> None:
    """Without a terminal, the end of the requests is the end of the input."""
    requests = Requests()
    requests.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=identify(stub, name), command=["sha256sum"])))
    block = os.urandom(60_000)
    digest = hashlib.sha256()
    call = stub.ExecSandboxInteractive(iter(requests), timeout=DEADLINE)
    for _ in range(50):
        requests.send(pb.ExecSandboxInput(stdin=block))
        digest.update(block)
    requests.close()
    text, code = b"", None
    for event in call:
        kind = event.WhichOneof("payload")
        text += event.stdout.data if kind == "stdout" else b""
        code = event.exit.exit_code if kind == "exit" else code
    assert (text.split()[0].decode(), code) == (digest.hexdigest(), 0), (text, code)


def forward(stub, name: str, port: int) -> None:
    sandbox = identify(stub, name)
    session = stub.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=sandbox), timeout=DEADLINE)
    body = os.urandom(3_000_000)
    requests = Requests()
    target = pb.TcpRelayTarget(host="127.0.0.1", port=port)
    init = pb.TcpForwardInit(sandbox_id=sandbox, tcp=target, authorization_token=session.token)
    requests.send(pb.TcpForwardFrame(init=init))
    call = stub.ForwardTcp(iter(requests), timeout=DEADLINE)
    # The answer's headers come before anything is sent: clients wait for them.
    call.initial_metadata()

    def write() -> None:
        head = f"POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.send(pb.TcpForwardFrame(data=head.encode()))
        for at in range(0, len(body), 65_536):
            requests.send(pb.TcpForwardFrame(data=body[at : at + 65_536]))
        requests.send(pb.TcpForwardFrame(data=b""))

    writer = threading.Thread(target=write)
    writer.start()
    answer = b"".join(frame.data for frame in call)
    writer.join()
    requests.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    assert hashlib.sha256(body).hexdigest().encode() in answer, answer[-500:]
    revoked = stub.RevokeSshSession(pb.RevokeSshSessionRequest(token=session.token), timeout=DEADLINE)
    assert revoked.revoked
    try:
        for _ in stub.ForwardTcp(iter([pb.TcpForwardFrame(init=init)]), timeout=DEADLINE):
            pass
        raise AssertionError("a revoked token was taken")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error


def watch(stub, name: str, _port: int) -> None:
    mine = f"{name.split('-')[0]}-{uuid.uuid4().hex[:8]}"
    made = stub.CreateSandbox(
        pb.CreateSandboxRequest(name=mine, workspace=WORKSPACE, spec=pb.SandboxSpec(command=["sleep", "100000"])),
        timeout=DEADLINE,
    )
    request = pb.WatchSandboxRequest(
        id=made.sandbox.metadata.id, follow_status=True, follow_logs=True, follow_events=True, log_tail_lines=200, event_tail=50
    )
    phases, lines = [], []
    stopped = False
    for event in stub.WatchSandbox(request, timeout=DEADLINE):
        kind = event.WhichOneof("payload")
        if kind == "log":
            lines.append(event.log.message)
        if kind == "sandbox":
            phases.append(event.sandbox.status.phase)
            if phases[-1] == pb.SANDBOX_PHASE_STOPPED:
                stub.DeleteSandbox(pb.DeleteSandboxRequest(name=mine, workspace=WORKSPACE), timeout=DEADLINE)
        if not stopped and pb.SANDBOX_PHASE_READY in phases and any("main process started" in one for one in lines):
            stopped = True
            stub.StopSandbox(pb.StopSandboxRequest(name=mine, workspace=WORKSPACE), timeout=DEADLINE)
    assert pb.SANDBOX_PHASE_READY in phases and pb.SANDBOX_PHASE_STOPPED in phases, phases
    assert any("main process started" in one for one in lines), lines


def statuses(stub, name: str, port: int) -> None:
    sandbox = identify(stub, name)

    def refusal(call) -> tuple:
        try:
            if hasattr(call, "__iter__"):
                for _ in call:
                    pass
            else:
                call.result()
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError("was not refused")

    code = grpc.StatusCode
    tcp = pb.TcpRelayTarget(host="127.0.0.1", port=port)

    def forwarding(**fields):
        return stub.ForwardTcp(iter([pb.TcpForwardFrame(init=pb.TcpForwardInit(**fields))]), timeout=DEADLINE)

    def running(**fields):
        return stub.ExecSandbox(pb.ExecSandboxRequest(**fields), timeout=DEADLINE)

    wanted = [
        (running(command=["true"]), code.INVALID_ARGUMENT, "sandbox_id is required"),
        (running(sandbox_id=sandbox), code.INVALID_ARGUMENT, "command is required"),
        (running(sandbox_id=str(uuid.uuid4()), command=["true"]), code.NOT_FOUND, "sandbox not found"),
        (stub.ExecSandboxInteractive(iter([]), timeout=DEADLINE), code.INVALID_ARGUMENT, "empty stream: expected start message"),
        (
            stub.ExecSandboxInteractive(iter([pb.ExecSandboxInput(stdin=b"x")]), timeout=DEADLINE),
            code.INVALID_ARGUMENT,
            "first message must be a start payload",
        ),
        (stub.ForwardTcp(iter([]), timeout=DEADLINE), code.INVALID_ARGUMENT, "empty ForwardTcp stream"),
        (
            stub.ForwardTcp(iter([pb.TcpForwardFrame(data=b"x")]), timeout=DEADLINE),
            code.INVALID_ARGUMENT,
            "first TcpForwardFrame must be init",
        ),
        (forwarding(tcp=tcp), code.INVALID_ARGUMENT, "sandbox_id is required"),
        (forwarding(sandbox_id=sandbox), code.INVALID_ARGUMENT, "tcp forward target is required"),
        (
            forwarding(sandbox_id=sandbox, tcp=pb.TcpRelayTarget(host="10.0.0.1", port=80)),
            code.INVALID_ARGUMENT,
            "tcp target host must be loopback",
        ),
        (forwarding(sandbox_id=sandbox, tcp=tcp), code.UNAUTHENTICATED, "authorization_token is required for ForwardTcp"),
        (forwarding(sandbox_id=sandbox, tcp=tcp, authorization_token="x"), code.UNAUTHENTICATED, "SSH session token not found"),
        (stub.WatchSandbox(pb.WatchSandboxRequest(), timeout=DEADLINE), code.INVALID_ARGUMENT, "id is required"),
        (stub.WatchSandbox(pb.WatchSandboxRequest(id="x"), timeout=DEADLINE), code.NOT_FOUND, "sandbox not found"),
    ]
    for call, status, text in wanted:
        found = refusal(call)
        assert found == (status, text), (found, status, text)


CASES = {
    "exec": exec_,
    "exec_cancel": exec_cancel,
    "interactive": interactive,
    "interactive_pipes": interactive_pipes,
    "forward": forward,
    "watch": watch,
    "statuses": statuses,
}

if __name__ == "__main__":
    case, endpoint, sandbox_name, app_port = sys.argv[1:5]
    with grpc.insecure_channel(endpoint) as channel:
        CASES[case](openshell_pb2_grpc.OpenShellStub(channel), sandbox_name, int(app_port))
