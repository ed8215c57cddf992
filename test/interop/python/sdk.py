"""Cases of OpenShell's Python SDK: `sdk.py CASE HOST:PORT SANDBOX`.

The sandbox is one that runs; cases that need another life make their own.
"""

import os
import sys
import uuid

from openshell import SandboxClient, Sandbox
from openshell.sandbox import InferenceRouteClient, SandboxError, WorkspaceClient

WORKSPACE = "default"


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def health(client: SandboxClient, _name: str) -> None:
    answer = client.health()
    assert answer.status == 1, answer
    assert answer.version, answer


def sandbox(client: SandboxClient, name: str) -> None:
    found = client.get(name, workspace=WORKSPACE)
    assert found.name == name and found.workspace == WORKSPACE, found
    assert found.id in client.list_ids(workspace=WORKSPACE)
    assert any(one.name == name for one in client.list(workspace=WORKSPACE))
    assert any(one.name == name for one in client.list_for_all_workspaces())


def exec_(client: SandboxClient, name: str) -> None:
    session = client.get_session(name, workspace=WORKSPACE)
    done = session.exec(
        ["sh", "-c", "cat; echo $A; pwd; echo e >&2; exit 9"],
        stdin=b"input\n",
        env={"A": "b c"},
        workdir="/tmp",
    )
    assert (done.exit_code, done.stdout, done.stderr) == (9, "input\nb c\n/tmp\n", "e\n"), done
    timed = session.exec(["sleep", "30"], timeout_seconds=1)
    assert timed.exit_code == 124, timed
    chunks = list(client.exec_stream(session.id, ["head", "-c", "3000000", "/dev/zero"]))
    assert sum(len(one.data) for one in chunks[:-1]) == 3_000_000
    assert chunks[-1].exit_code == 0


def exec_python(client: SandboxClient, name: str) -> None:
    session = client.get_session(name, workspace=WORKSPACE)
    factor = 6

    def work(value: int, *, plus: int) -> str:
        return f"{value * factor + plus}"

    done = session.exec_python(work, args=(7,), kwargs={"plus": 100})
    assert (done.exit_code, done.stdout) == (0, "142\n"), done


def life(client: SandboxClient, name: str) -> None:
    # The name decides which supervisor runs it.
    mine = fresh(name.split("-")[0])
    from openshell._proto import openshell_pb2

    spec = openshell_pb2.SandboxSpec(command=["sleep", "100000"])
    session = client.create_session(workspace=WORKSPACE, name=mine, labels={"a": "b"}, spec=spec)
    ready = client.wait_ready(mine, workspace=WORKSPACE, timeout_seconds=60)
    assert dict(ready.labels) == {"a": "b"}, ready
    assert session.exec(["echo", "hello"]).stdout == "hello\n"
    session.stop()
    client.wait_stopped(mine, workspace=WORKSPACE, timeout_seconds=60)
    session.start()
    client.wait_ready(mine, workspace=WORKSPACE, timeout_seconds=60)
    assert session.exec(["echo", "again"]).stdout == "again\n"
    assert session.delete()
    client.wait_deleted(mine, workspace=WORKSPACE, timeout_seconds=60)


def context(_client: SandboxClient, name: str) -> None:
    """The context manager finds its gateway in the store that `gateway add` has written."""
    from openshell._proto import openshell_pb2

    mine = fresh(name.split("-")[0])
    spec = openshell_pb2.SandboxSpec(command=["sleep", "100000"])
    with Sandbox(workspace=WORKSPACE, name=mine, spec=spec) as inside:
        assert inside.exec(["echo", "inside"]).stdout == "inside\n"
    with Sandbox(workspace=WORKSPACE, sandbox=name, delete_on_exit=False) as inside:
        assert inside.exec(["true"]).exit_code == 0


def errors(client: SandboxClient, name: str) -> None:
    import grpc

    try:
        client.get("no-such-sandbox", workspace=WORKSPACE)
        raise AssertionError("found what is not there")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "sandbox not found", error
    session = client.get_session(name, workspace=WORKSPACE)
    try:
        session.exec(["a\nb"], env={"1bad": "x"})
        raise AssertionError("took a bad variable")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
    try:
        session.exec([])
        raise AssertionError("ran nothing")
    except SandboxError:
        pass


def workspaces(client: SandboxClient, _name: str) -> None:
    import grpc

    spaces = WorkspaceClient.from_sandbox_client(client)
    mine = fresh("ws")
    made = spaces.create(mine)
    assert made.name == mine, made
    assert spaces.get(mine).name == mine
    assert mine in [one.name for one in spaces.list()]
    try:
        spaces.create(mine)
        raise AssertionError("made it twice")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.ALREADY_EXISTS, error
    assert spaces.delete(mine)
    try:
        spaces.get(mine)
        raise AssertionError("it is still there")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error


def inference(client: SandboxClient, _name: str) -> None:
    """A provider is made by the command line before."""
    routes = InferenceRouteClient.from_sandbox_client(client)
    provider = os.environ["PROVIDER"]
    routes.set_route(workspace=WORKSPACE, provider_name=provider, model_id="model-a", no_verify=True)
    found = routes.get_route(workspace=WORKSPACE)
    assert (found.provider_name, found.model_id) == (provider, "model-a"), found
    routes.delete_route(workspace=WORKSPACE)


CASES = {
    "health": health,
    "sandbox": sandbox,
    "exec": exec_,
    "exec_python": exec_python,
    "life": life,
    "context": context,
    "errors": errors,
    "workspaces": workspaces,
    "inference": inference,
}

if __name__ == "__main__":
    case, endpoint, sandbox_name = sys.argv[1:4]
    with SandboxClient(endpoint) as one:
        CASES[case](one, sandbox_name)
