"""Telling agents: what they are told, and that each limit holds."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from spotwatch.core.errors import CommandNotStarted
from spotwatch.host.agents import Agents
from spotwatch.host.programs import Programs
from tests.host.conftest import open_descriptors
from tests.host.frozen import wait_until


@pytest.fixture(scope="module")
def server_that_is_up(make_httpserver: HTTPServer) -> None:
    """It has answered once, so that all its descriptors are open before those of a test are counted."""
    Agents(Programs()).request("GET", make_httpserver.url_for("/"), 5.0)


@pytest.fixture(autouse=True)
def nothing_is_left(server_that_is_up: None) -> Iterator[None]:  # noqa: ARG001
    """As everywhere in this room, only that a server, and a thread that was left alone, may take a moment to close."""
    before = open_descriptors()
    yield
    wait_until(lambda: not open_descriptors() - before)


class FakePrograms(Programs):
    """Runs nothing."""

    def __init__(self, end: int | Exception = 0) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.limits: list[float | None] = []
        self._end = end

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:
        self.ran.append(argv)
        self.limits.append(limit)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


@pytest.fixture
def agents() -> Agents:
    return Agents(Programs())


class TestUnits:
    def test_a_unit_is_stopped_in_a_way_that_does_not_wait_for_ourselves_at_a_shutdown(self) -> None:
        programs = FakePrograms()
        assert Agents(programs).stop("fluent-bit", 7.0) == ""
        assert programs.ran == [("systemctl", "stop", "--job-mode=ignore-dependencies", "--", "fluent-bit")]
        assert programs.limits == [7.0]

    def test_a_signal_goes_to_the_main_process(self) -> None:
        programs = FakePrograms()
        assert Agents(programs).signal_unit("fluentd.service", "USR1", 7.0) == ""
        assert programs.ran == [("systemctl", "kill", "--kill-whom=main", "--signal=SIGUSR1", "--", "fluentd.service")]

    @pytest.mark.parametrize(
        ("end", "problem"),
        [
            (5, "systemctl stop ended with 5"),
            (TimeoutError("has not ended within 7 s"), "has not ended within 7 s"),
            (CommandNotStarted("systemctl cannot be executed"), "systemctl cannot be executed"),
        ],
        ids=["unknown unit", "too slow", "no systemd"],
    )
    def test_what_goes_wrong_is_said(self, end: int | Exception, problem: str) -> None:
        assert Agents(FakePrograms(end)).stop("fluent-bit", 7.0) == problem

    def test_a_program_that_takes_too_long_is_ended(self) -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"has not ended within 0\.2 s"):
            Programs().run(("/bin/sleep", "60"), limit=0.2)
        assert time.monotonic() - began < 5


class TestProcesses:
    @pytest.fixture
    def agent(self, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
        """A process that says which signals it gets, and ends on none but SIGTERM."""
        script = "trap 'echo USR1' USR1; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
        process = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        yield process
        process.kill()
        process.communicate()

    def test_a_signal_reaches_it(self, agents: Agents, agent: "subprocess.Popen[str]", tmp_path: Path) -> None:
        assert agents.signal_process(str(tmp_path / "pid"), "USR1", 5.0) == ""
        assert agent.stdout is not None
        assert agent.stdout.readline() == "USR1\n"

    def test_one_that_is_told_to_end_is_waited_for(
        self, agents: Agents, agent: "subprocess.Popen[str]", tmp_path: Path
    ) -> None:
        assert agents.signal_process(str(tmp_path / "pid"), "TERM", 5.0) == ""
        assert agent.poll() == 3

    def test_one_that_does_not_end_in_time_is_said(
        self, agents: Agents, agent: "subprocess.Popen[str]", tmp_path: Path
    ) -> None:
        agent.send_signal(signal.SIGSTOP)
        problem = agents.signal_process(str(tmp_path / "pid"), "TERM", 0.2)
        assert problem == f"process {agent.pid} has not ended within 0.2 s"

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("0\n", "0 is no agent's process"),
            ("-1\n", "-1 is no agent's process"),
            ("1\n", "1 is no agent's process"),
            ("", "invalid literal for int() with base 10: ''"),
            ("4194305\n", "No such process"),
        ],
        ids=["our group", "everybody", "the service manager", "empty", "ended"],
    )
    def test_no_wrong_process_is_signaled(self, agents: Agents, tmp_path: Path, content: str, problem: str) -> None:
        (tmp_path / "pid").write_text(content)
        assert agents.signal_process(str(tmp_path / "pid"), "TERM", 1.0) == f"{tmp_path}/pid: {problem}"

    def test_a_pid_file_that_is_missing_is_said(self, agents: Agents, tmp_path: Path) -> None:
        assert agents.signal_process(str(tmp_path / "no"), "HUP", 1.0) == f"{tmp_path}/no: No such file or directory"


class TestEndpoints:
    def test_it_is_called_with_its_method(self, agents: Agents, httpserver: HTTPServer) -> None:
        httpserver.expect_oneshot_request("/api/plugins.flushBuffers", method="GET").respond_with_data('{"ok":true}')
        httpserver.expect_oneshot_request("/flush", method="POST").respond_with_data("", status=204)
        assert agents.request("GET", httpserver.url_for("/api/plugins.flushBuffers"), 5.0) == ""
        assert agents.request("POST", httpserver.url_for("/flush"), 5.0) == ""

    def test_no_proxy_is_asked(self, agents: Agents, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        httpserver.expect_request("/flush").respond_with_data("")
        assert agents.request("GET", httpserver.url_for("/flush"), 5.0) == ""

    def test_an_error_is_said_with_its_number(self, agents: Agents, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/flush").respond_with_data("", status=503)
        assert agents.request("GET", httpserver.url_for("/flush"), 5.0) == "answered 503 SERVICE UNAVAILABLE"

    def test_one_that_refuses_is_said(self, agents: Agents) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
        assert agents.request("GET", f"http://127.0.0.1:{port}/", 5.0) == "Connection refused"

    def test_the_limit_holds_for_one_that_is_slow(self, agents: Agents, httpserver: HTTPServer) -> None:
        release = threading.Event()

        def answer(_request: Request) -> Response:
            release.wait(20)
            return Response("")

        httpserver.expect_request("/flush").respond_with_handler(answer)
        try:
            assert "within 0.3 s" in self.timed(agents, httpserver.url_for("/flush"))
        finally:
            release.set()

    def test_the_limit_holds_for_one_that_never_answers(self, agents: Agents) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            assert "within 0.3 s" in self.timed(agents, f"http://127.0.0.1:{server.getsockname()[1]}/")

    def test_the_limit_holds_for_one_that_sends_a_byte_now_and_then(self, agents: Agents) -> None:
        """A socket's own limit would begin anew with every byte."""
        over = threading.Event()
        with closing(socket.create_server(("127.0.0.1", 0))) as server:

            def drip() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    while not over.wait(0.05):
                        connection.sendall(b"x")

            thread = threading.Thread(target=drip)
            thread.start()
            assert "within 0.3 s" in self.timed(agents, f"http://127.0.0.1:{server.getsockname()[1]}/")
            over.set()
            thread.join()

    def timed(self, agents: Agents, url: str) -> str:
        began = time.monotonic()
        problem = agents.request("GET", url, 0.3)
        assert time.monotonic() - began < 3
        return problem


def test_a_thread_that_still_waits_does_not_hold_up_the_end_of_the_process() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        script = (
            "from spotwatch.host.agents import Agents; from spotwatch.host.programs import Programs; "
            f"print(Agents(Programs()).request('GET', 'http://127.0.0.1:{server.getsockname()[1]}/', 0.2))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True, env=os.environ
        )
    assert "within 0.2 s" in done.stdout
