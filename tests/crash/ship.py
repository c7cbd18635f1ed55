"""The real ``spotwatch ship`` of one volume, which kills itself (or stops) when it reaches a point.

A point is the moment before or after an effect: a call to AWS that changes something, the opening of the volume and
each mount in it, an object, the manifest, the look back. Parent and child write the names of the points they reach to
one file; whoever reaches the fatal one ends as told.

    python -m tests.crash.ship --points FILE --fatal N --end END --devices DIR … ship --draft …   (the child)
"""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from spotwatch import cli
from spotwatch.aws import volumes
from spotwatch.aws.session import Session
from spotwatch.cli.destinations import Keeping
from spotwatch.cli.ship import reader
from spotwatch.cli.ship.host import ThisHost
from spotwatch.cli.ship.order import Order
from spotwatch.cli.ship.shipper import WorkerShipper
from spotwatch.cli.ship.view import LogView
from spotwatch.core.settings import Hints, LogSettings, ObjectLayout
from spotwatch.core.volume import Volume
from spotwatch.host import opened_volume
from spotwatch.host.clock import Clock
from spotwatch.log import make_log
from spotwatch.ship.destination import Directory
from spotwatch.ship.job import Ending, Job, Outcome, Verdict

NAME_BYTES = 128
"""Of a point in the file; so its number follows from its place, whoever has written it."""

ENDS = ("all", "reader", "stop")
"""What happens at the fatal point: everything is killed, only who has reached it is, or it all stands still."""

P = ParamSpec("P")
R = TypeVar("R")


class Points:
    """Counts the points that parent and child reach, together.

    Args:
        path: where their names go.
        fatal: the number of the point to end at; 0 for none.
        end: one of `ENDS`.
    """

    def __init__(self, path: str, fatal: int, end: str) -> None:
        self._path, self._fatal, self._end = path, fatal, end
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @property
    def words(self) -> list[str]:
        """What hands them on to the child."""
        return ["--points", self._path, "--fatal", str(self._fatal), "--end", self._end]

    @contextmanager
    def around(self, deed: str) -> Iterator[None]:
        """A point before and a point after what is done in the context."""
        self.reach(f"before {deed}")
        yield
        self.reach(f"after {deed}")

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
            self.reach(f"before {deed}")
            with do(*args, **kwargs) as made:
                self.reach(f"after {deed}")
                yield made
                self.reach(f"before the end of {deed}")
            self.reach(f"after the end of {deed}")

        return wrapped

    def reach(self, name: str) -> None:
        """A point; it may end here."""
        os.write(self._file, name[: NAME_BYTES - 1].ljust(NAME_BYTES - 1).encode() + b"\n")
        if os.lseek(self._file, 0, os.SEEK_CUR) // NAME_BYTES != self._fatal:
            return
        parent = os.getppid() if "--draft" in " ".join(sys.argv) else 0
        if self._end == "all" and parent:
            os.kill(parent, signal.SIGKILL)
        if self._end == "stop" and parent:
            os.kill(parent, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP if self._end == "stop" else signal.SIGKILL)


class MortalVolumes(volumes.Volumes):
    """EC2 with points around each call that changes something, and the waits after them."""

    def __init__(self, session: Session, points: Points) -> None:
        super().__init__(session.api("ec2"))
        self._points = points

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        with self._points.around(f"tag {' '.join(sorted(tags))}".replace("spotwatch:", "")):
            super().tag(volume_id, tags)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        with self._points.around("attach"):
            super().attach(volume_id, instance_id, device)

    def wait_until_attached(self, volume_id: str, instance_id: str) -> Volume:
        attached = super().wait_until_attached(volume_id, instance_id)
        self._points.reach("after wait_until_attached")
        return attached

    def detach(self, volume_id: str, instance_id: str) -> None:
        with self._points.around("detach"):
            super().detach(volume_id, instance_id)

    def wait_until_available(self, volume_id: str, instance_id: str) -> Volume | None:
        free = super().wait_until_available(volume_id, instance_id)
        self._points.reach("after wait_until_available")
        return free

    def delete(self, volume_id: str) -> None:
        with self._points.around("delete"):
            super().delete(volume_id)


class MortalDirectory(Directory):
    """A destination with points around each object, and in the middle of it."""

    def __init__(self, root: Path, points: Points) -> None:
        super().__init__(root)
        self._points = points

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        name = "the manifest" if "manifest-" in key else "an object"
        with self._points.around(f"put of {name}"):
            return super().put(key, self._in_the_middle(chunks, name))

    def _in_the_middle(self, chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            yield chunk
            if number == 0:
                self._points.reach(f"in {name}")


class SymlinkedHost(ThisHost):
    """A host to which a volume is attached as soon as a link of its name is in a directory."""

    def __init__(self, instance_id: str, claims: str, devices: Path) -> None:
        super().__init__(instance_id, claims)
        self._links = devices

    def device(self, volume: Volume) -> str:
        return os.readlink(self._links / self.instance_id / volume.id)


def work(arguments: Namespace, points: Points) -> Outcome:
    """One run over the volume, whoever has it now."""
    session = Session(Clock(), patience=20.0)
    ec2 = MortalVolumes(session, points)
    host = SymlinkedHost(arguments.instance, str(arguments.claims), arguments.devices)
    order = Order(
        to=arguments.to.as_uri(), kept=Keeping(), read_positions=Hints.SHIP, unproven_positions=Hints.SHIP,
        objects=ObjectLayout(arguments.objects), scratch=str(arguments.scratch), workers=1, time_limit=60.0,
    )  # fmt: skip
    program = [sys.executable, "-m", "tests.crash.ship", *points.words]
    shipper = WorkerShipper(order, LogView(make_log(LogSettings())), program=program)
    shipper.destination = MortalDirectory(arguments.to, points)
    shipper.verify = points.mortal("verify", shipper.verify)  # type: ignore[method-assign]
    job = Job(ec2, host, shipper, Ending())
    now = ec2.describe(arguments.volume)
    if now is None:
        return Outcome(arguments.volume, Verdict.DELETED)
    if now.instance_id in ("", arguments.instance):
        return job.work(now)
    return job.take_over(now)


def read(points: Points, words: Sequence[str]) -> int:
    """The child: ``spotwatch ship --draft``, with points."""
    for name in ("mounted", "loop_device", "read_only"):
        setattr(opened_volume, name, points.mortal_context(name, getattr(opened_volume, name)))
    for way in opened_volume.WAYS:
        mortal: Any = points.mortal_context(f"the {way.name} overlay", way.over)
        object.__setattr__(way, "over", mortal)
    parts: Any = reader
    parts.decide = points.mortal("decide", parts.decide)
    return cli.main(words)


def main() -> int:
    """Live until the work is done, or until the fatal point."""
    parser = ArgumentParser()
    parser.add_argument("--points", required=True)
    parser.add_argument("--fatal", type=int, default=0)
    parser.add_argument("--end", choices=ENDS, default="all")
    parser.add_argument("--volume")
    parser.add_argument("--instance")
    parser.add_argument("--objects", default="bundles")
    for name in ("devices", "claims", "scratch", "to"):
        parser.add_argument(f"--{name}", type=Path)
    own, words = sys.argv[1:], list[str]()
    if "ship" in own:
        own, words = own[: own.index("ship")], own[own.index("ship") :]
    arguments = parser.parse_args(own)
    points = Points(arguments.points, arguments.fatal, arguments.end)
    if words:
        return read(points, words)
    outcome = work(arguments, points)
    print(replace(outcome), flush=True)
    return 0 if outcome.verdict is Verdict.DELETED else 1


if __name__ == "__main__":
    sys.exit(main())
