"""The real ``spotwatch ship``, the batch job, which is killed (or stands still) when it reaches a point.

A point is the moment before or after an effect: every call to EC2 and S3, also those that only look; the claim of the
volume; in the process that reads it each device, overlay and mount, and the decision. Both processes write the names
of the points that they reach to one file; whoever reaches the fatal one ends as told.

    python -m tests.crash.ship SOCKET      serves lives, see `tests.crash.fork_server`

A life's words are ours, then ``--``, then those of ``spotwatch``. What is not as in production: processes are forked
where they would be started (`ForkedReader`), a link stands for the serial of a device, leases are silent sooner, and
parts of an upload are small, so that there are some.
"""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any, Final, ParamSpec, TypeVar

from botocore.loaders import JSONFileLoader

from spotwatch import cli
from spotwatch.aws import s3
from spotwatch.aws import volumes as ec2_volumes
from spotwatch.aws.session import Api, Session
from spotwatch.cli.ship import batch as batch_command
from spotwatch.cli.ship import reader, report
from spotwatch.cli.ship.host import ThisHost
from spotwatch.core.errors import VolumeUnreadable
from spotwatch.core.volume import Volume
from spotwatch.host import opened_volume, worker
from spotwatch.host.claims import Claims
from spotwatch.host.clock import Clock
from spotwatch.ship import batch
from tests.crash.fork_server import end, serve, tie_to_parent

LOADED: Final = (s3, ec2_volumes, batch_command, report)
"""What a life would import as it goes."""

PART_BYTES: Final = 32 * 1024
"""Of a multipart upload here, and of a range that is read."""

OF_THE_READER: Final = "reader: "
"""What the names of its points begin with."""

ENDS: Final = ("all", "one", "stop")
"""What happens at the fatal point: everything is killed, only the process that has reached it is, or all of it stands
still."""

P = ParamSpec("P")
R = TypeVar("R")


class Points:
    """Tells of the points that a process reaches, and ends at one of them.

    A point is known by its name, the number of the volume that it is about, and how often there was such a one before:
    so it is the same in every life, however often that has to look whether an attachment shows.

    Args:
        path: where they are told, a line each.
        fatal: the point to end at; empty for none.
        end: one of `ENDS`.
        volumes: the ids of all volumes; their numbers follow from their order.
        parent: of the process that reads: the one that waits for it; 0 in that one.
        subject: of the process that reads: the volume.
    """

    def __init__(
        self, path: str, fatal: str, end: str, volumes: Sequence[str], parent: int = 0, subject: str = ""
    ) -> None:
        self._path, self._fatal, self._end, self._volumes = path, fatal, end, volumes
        self._parent, self._subject = parent, subject
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._reached = Counter[str]()
        self._lock = Lock()

    def of_the_reader(self, words: Sequence[str]) -> "Points":
        """The same, in a process that was just forked to read one of the volumes."""
        return Points(self._path, self._fatal, self._end, self._volumes, os.getppid(), " ".join(words))

    @contextmanager
    def around(self, deed: str, subject: str = "") -> Iterator[None]:
        """A point before and a point after what is done in the context, however it ends.

        Args:
            deed: its name.
            subject: what has the id of the volume in it, if anything has.
        """
        self.reach(f"before {deed}", subject)
        try:
            yield
        finally:
            self.reach(f"after {deed}", subject)

    def mortal(self, deed: str, do: Callable[P, R]) -> Callable[P, R]:
        """A function with points around it."""

        @wraps(do)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.around(deed):
                return do(*args, **kwargs)

        return wrapped

    def mortal_context(
        self, deed: str, do: Callable[P, AbstractContextManager[R]]
    ) -> Callable[P, AbstractContextManager[R]]:
        """A function that makes a context, with points around its beginning and its end."""

        @contextmanager
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
            subject = str(args)
            self.reach(f"before {deed}", subject)
            with do(*args, **kwargs) as made:
                self.reach(f"after {deed}", subject)
                yield made
                self.reach(f"before the end of {deed}", subject)
            self.reach(f"after the end of {deed}", subject)

        return wrapped

    def reach(self, name: str, subject: str = "") -> None:
        """A point; it may end here."""
        about = next((n for n, volume in enumerate(self._volumes, 1) if volume in f"{subject} {self._subject}"), 0)
        whose = OF_THE_READER if self._parent else ""
        with self._lock:
            told = f"{whose}{name}{f', volume {about}' if about else ''}"
            self._reached[told] += 1
            point = f"{told}, {self._reached[told]}"
            os.write(self._file, f"{point}\n".encode())
        if point == self._fatal:
            self._die()

    def _die(self) -> None:
        number = signal.SIGSTOP if self._end == "stop" else signal.SIGKILL
        if self._parent and self._end != "one":
            os.kill(self._parent, number)
        os.kill(os.getpid(), number)


class ForkedReader:
    """Stands for `subprocess.Popen`: the process that reads a volume is forked, since all that it needs is imported.

    As after an exec it has nothing open and no variables but what it was given, is the leader of its process group, and
    gets the signal that `spotwatch.host.lifeline` asks for.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        pass_fds: Collection[int],
        env: Mapping[str, str],
        process_group: int,
    ) -> None:
        assert process_group == 0
        assert stdin == stdout == subprocess.DEVNULL
        parent = os.getpid()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        os.setpgid(0, 0)
        tie_to_parent(signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
        _close_all_but(pass_fds)
        os.environ.clear()
        os.environ.update(env)
        end(_read, argv[argv.index("ship") :])

    def wait(self) -> int:
        """See `subprocess.Popen.wait`."""
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def _close_all_but(kept: Collection[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one that listed them


_life: Points
"""Of the process that runs the batch job; a reader is forked from it."""


def _read(words: Sequence[str]) -> int:
    """The process that reads: ``spotwatch ship --draft``, with points."""
    global _life
    _life = points = _life.of_the_reader(words)
    for name in ("mounted", "loop_device", "read_only"):
        setattr(opened_volume, name, points.mortal_context(name, getattr(opened_volume, name)))
    for way in opened_volume.WAYS:
        mortal: Any = points.mortal_context(f"the {way.name} overlay", way.over)
        object.__setattr__(way, "over", mortal)
    parts: Any = reader
    parts.decide = points.mortal("decide", parts.decide)
    return cli.main(words)


def live(words: Sequence[str]) -> int:
    """One life of the batch job."""
    global _life
    split = list(words).index("--")
    told = _told(words[:split])
    _life = Points(str(told.points), told.fatal, told.end, told.volume)
    _see_devices_in(told.devices)
    claims: Any = Claims
    claims.held = _life.mortal_context("the claim", Claims.held)
    constants: Any = batch
    constants.LEASE_SILENCE = told.silence
    constants = s3
    constants.PART_BYTES = PART_BYTES
    return cli.main(words[split + 1 :])


def _told(words: Sequence[str]) -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--fatal", default="")
    parser.add_argument("--volume", action="append", required=True)
    parser.add_argument("--end", choices=ENDS, default="all")
    parser.add_argument("--devices", type=Path, required=True, help="with a link for each attached volume")
    parser.add_argument("--silence", type=float, required=True, help="seconds after which a lease counts as silent")
    return parser.parse_args(words)


def _see_devices_in(links: Path) -> None:
    """A volume is there as long as a link of its name is."""

    def device(self: ThisHost, volume: Volume) -> str:
        try:
            return os.readlink(links / self.instance_id / volume.id)
        except FileNotFoundError:
            raise VolumeUnreadable(f"no device of {volume.id} appears: somebody else has detached it") from None

    ThisHost.device = device  # type: ignore[method-assign]


def _mortal_calls() -> None:
    """Every call of every service gets points around it, those of the life that is lived then."""
    attempt = Api.attempt

    def mortal(self: Api, operation: str, **parameters: Any) -> dict[str, Any]:
        named = {name: value for name, value in parameters.items() if name != "Body"}
        with _life.around(f"{self.service}:{operation}{_detail(operation, parameters)}", str(named)):
            return attempt(self, operation, **parameters)

    Api.attempt = mortal  # type: ignore[method-assign]


def _detail(operation: str, parameters: Mapping[str, Any]) -> str:
    if operation == "CreateTags":
        return " " + " ".join(sorted(tag["Key"].removeprefix("spotwatch:") for tag in parameters["Tags"]))
    if "Key" in parameters:
        return " of the manifest" if "/manifest-" in parameters["Key"] else " of an object"
    return ""


def _load_models_once() -> None:
    """The models of AWS's services are read by each session anew, which takes as long as a life."""
    loader: Any = JSONFileLoader
    load = loader._load_file
    loaded = cache(lambda path, opened_by: load(None, path, opened_by))
    loader._load_file = lambda _, path, opened_by: loaded(path, opened_by)


def main() -> None:
    """Import and load what every life needs, then serve."""
    _load_models_once()
    os.environ |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    for service in ("ec2", "s3"):
        Session(Clock(), patience=1).api(service)
    _mortal_calls()
    shim: Any = worker
    shim.subprocess = SimpleNamespace(Popen=ForkedReader, DEVNULL=subprocess.DEVNULL)
    shim.tied = list
    serve(sys.argv[1], live)


if __name__ == "__main__":
    main()
