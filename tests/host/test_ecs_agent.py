"""The introspection endpoint of the ECS agent, over real connections."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from spotwatch.core.container_instance import ContainerInstance
from spotwatch.core.errors import EcsAgentUnavailable
from spotwatch.host.ecs_agent import EcsAgent

ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/apps/1f73d099b914411c9a9ff81633b7741d"
PATH = "/v1/metadata"

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer one request with this; the URL. When the test is over, nothing of it is left."""
    with ExitStack() as stack:

        def serve(body: str, status: str = "200 OK") -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=answer, args=(server, body, status))
            thread.start()
            stack.callback(thread.join)
            return f"http://127.0.0.1:{server.getsockname()[1]}{PATH}"

        yield serve


def answer(server: socket.socket, body: str, status: str) -> None:
    connection, _ = server.accept()
    with connection:
        request = connection.recv(65536)
        assert request.startswith(f"GET {PATH} ".encode())
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def test_it_says_its_cluster_and_its_own_arn(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there, and nobody is asked
    told = {"Cluster": "apps", "ContainerInstanceArn": ARN, "Version": "Amazon ECS Agent - v1.97.1 (abcdef0)"}
    assert EcsAgent().container_instance(serve(json.dumps(told)), 5) == ContainerInstance("apps", ARN)


@pytest.mark.parametrize(
    "body", ['{"Cluster": "apps", "ContainerInstanceArn": null}', '{"Cluster": ""}', "[]", "null", '"apps"']
)
def test_an_agent_that_has_not_registered_itself_says_so(serve: Serve, body: str) -> None:
    with pytest.raises(EcsAgentUnavailable, match="has not registered this instance"):
        EcsAgent().container_instance(serve(body), 5)


def test_something_else_at_its_port_is_no_agent(serve: Serve) -> None:
    with pytest.raises(EcsAgentUnavailable, match=r"does not answer at http://"):
        EcsAgent().container_instance(serve("<html>"), 5)


def test_an_error_is_no_answer(serve: Serve) -> None:
    with pytest.raises(EcsAgentUnavailable, match=r"does not answer at http.*: Not Found"):
        EcsAgent().container_instance(serve("", "404 Not Found"), 5)


def test_nobody_at_its_port_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with pytest.raises(EcsAgentUnavailable, match="Connection refused") as raised:
            EcsAgent().container_instance(f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}", 5)
    assert "--cluster" in raised.value.hint


def test_silence_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(EcsAgentUnavailable, match="timed out"):
        EcsAgent().container_instance(f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}", 0.1)


def test_a_url_that_is_none_is_no_answer() -> None:
    with pytest.raises(EcsAgentUnavailable):
        EcsAgent().container_instance("localhost", 1)
