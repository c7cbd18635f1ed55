"""Processes that begin with everything imported: a server that has done so forks one for each request.

An interpreter that imports boto3 and makes its clients takes a second of CPU, and a sweep over crash points needs a
thousand of them; a fork takes a few milliseconds.

    tests ──socket──► server ──fork──► watcher ──fork──► life ──► its children

The watcher waits for its life and is the subreaper of all that the life leaves behind (PR_SET_CHILD_SUBREAPER(2const)),
so it knows whether anything does.
"""

import ctypes
import faulthandler
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36

SETTLE_SECONDS: Final = 10.0
"""From the end of a life until its last child has to be gone; the kernel tells them at once."""

Live = Callable[[Sequence[str]], int]
"""What a life does with its words; its exit code."""


def tie_to_parent(number: signal.Signals) -> None:
    """Have the kernel send a signal when the thread that has forked us ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(each) for each in (value, 0, 0, 0)))


@dataclass(frozen=True)
class Ended:
    """How a life ended: its exit code, negative for a signal, and the commands of what outlived it."""

    code: int
    left: tuple[str, ...]


class Life:
    """One process; made by `ForkServer.start`.

    Attributes:
        pid: of the process.
        log: the file with what it said.
    """

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self._connection = connection
        self._answers = connection.makefile("r", encoding="utf-8")
        self.log = log
        self.pid = int(self._answer()["pid"])

    def wait(self) -> Ended | None:
        """Until it ends, or stands still (SIGSTOP): None."""
        told = self._answer()
        if "stopped" in told:
            return None
        self._connection.close()
        return Ended(told["code"], tuple(told["left"]))

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except TimeoutError:
            os.kill(self.pid, signal.SIGABRT)  # it tells the log where it was, see `_become`
            line = ""
        assert line, f"no answer about a life in time:\n{self.log.read_text()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


class ForkServer:
    """A context manager: the server, as a child of this process.

    Args:
        module: a module of the tests whose ``main`` calls `serve`.
        directory: where it is started.
        patience: seconds for one life.
    """

    def __init__(self, module: str, directory: Path, patience: float) -> None:
        self._module, self._directory, self._patience = module, directory, patience
        self._place = tempfile.TemporaryDirectory(prefix="fork-server-")
        self._path = os.path.join(self._place.name, "socket")

    def __enter__(self) -> Self:
        argv = [sys.executable, "-W", "error", "-m", self._module, self._path]
        self._process = subprocess.Popen(argv, cwd=self._directory, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._process:
            pass
        self._place.cleanup()

    def start(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Life:
        """A life; what it says goes to the log."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._patience)
        connection.connect(self._path)
        request = {"words": list(words), "log": str(log), "environment": dict(environment)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return Life(connection, log)


def serve(path: str, live: Live) -> NoReturn:
    """Fork for ever; the end of our parent is ours."""
    tie_to_parent(signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the watchers
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _watch(connection, live)
            connection.close()


def _watch(connection: socket.socket, live: Live) -> NoReturn:
    tie_to_parent(signal.SIGKILL)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("r", encoding="utf-8") as requests:
        request = json.loads(requests.readline())
    life = os.fork()
    if life == 0:
        connection.close()
        _become(request, live)

    def tell(**answer: object) -> None:
        connection.sendall(json.dumps(answer).encode() + b"\n")

    tell(pid=life)
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if pid != life:
            continue
        if os.WIFSTOPPED(status):
            tell(stopped=True)
            continue
        tell(code=os.waitstatus_to_exitcode(status), left=_orphans())
        os._exit(0)


def _orphans() -> list[str]:
    """What does not end although the life has; it is killed."""
    give_up = time.monotonic() + SETTLE_SECONDS
    left: list[str] = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return left
        if pid == 0 and time.monotonic() > give_up:
            for child in children_of(os.getpid()):
                left.append(Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode())
                os.kill(child, signal.SIGKILL)
        elif pid == 0:
            time.sleep(0.005)


def children_of(pid: int) -> list[int]:
    """The children of all threads of a process."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, children.read_text().split())
    return found


def _become(request: Mapping[str, Any], live: Live) -> NoReturn:
    """The life itself, in a process group of its own, with nothing of the server's but what is imported."""
    os.setpgid(0, 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, descriptor in ((0, nothing), (1, log), (2, log)):
        os.dup2(descriptor, target)
    os.closerange(3, 256)
    faulthandler.enable(all_threads=True)
    os.environ.clear()
    os.environ.update(request["environment"])
    end(live, request["words"])


def end(live: Live, words: Sequence[str]) -> NoReturn:
    """Do it, and end with its exit code, without what the interpreter has inherited to do at its end."""
    code = 70
    try:
        code = live(words)
    except SystemExit as told:
        code = told.code if isinstance(told.code, int) else code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
