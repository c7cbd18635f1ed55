"""The story that ``spotwatch simulate`` plays around its drain: a log, the death of the instance, and what is shipped.

An application logs into a directory, which stands for the mounted log volume, and a small agent sends its lines until
the hook `flush-logs` tells it to stop. The hook `preserve-volume` has AWS keep the volume. After the drain the instance
dies with all its programs, in the middle of a line, and what AWS has kept of its volumes is shipped by ``spotwatch
ship`` from another instance. Then each line is looked for.

Not played: what a power cut does to bytes that were not synced, and reading a file system that was not unmounted. Both
need a block device, and root.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotwatch.host.followed import FollowedProcess
from spotwatch.host.process_group import ProcessGroup
from spotwatch.host.service_manager import environment_for_children
from spotwatch.simulate import demonstration
from spotwatch.simulate.application import LOG, lines_written
from spotwatch.simulate.instance import Instance
from spotwatch.simulate.line_count import LineCount, count_lines
from spotwatch.simulate.rehearsal import Line, read_record

if TYPE_CHECKING:
    from spotwatch.cli.story_aws import StoryAws

PARTS: Final = ("preserve-volume", "ship")
"""What the story can be played without, to see what becomes of the log then."""

LIBRARIES: Final = ("boto3", "flask", "flask_cors", "isal", "moto", "tenacity", "xxhash", "yaml", "zstandard")
"""What it needs besides what the rehearsal needs; the extra `story`."""

INSTALL: Final = "pip install '.[simulate]'"
"""What brings them."""

SHIP_SECONDS: Final = 60.0
"""It takes a few; after so long it is ended, and that is a failure."""

LIVES_ON_SECONDS: Final = 2.0
"""From the end of the drain to the death of the instance; AWS would leave it the rest of the two minutes."""

LOOK_SECONDS: Final = 0.2
"""Between two looks whether it has ended."""

Tell = Callable[[Line], None]


def what_is_missing() -> str:
    """The libraries that the story cannot be played without and that are not installed; empty if it can."""
    return ", ".join(name for name in LIBRARIES if find_spec(name) is None)


class Places:
    """Where things are during the story.

    Args:
        home: a directory without any of it.

    Attributes:
        volume: stands for the log volume.
        logs: the application's, on the volume.
        agent_state: the agent's, on the volume.
        collected: what has arrived where the agent sends it.
        progress: how far the application has come.
        pid_file: of the agent.
        output: what the programs say, which is nothing unless one of them fails.
    """

    def __init__(self, home: Path) -> None:
        elsewhere = home / "story"
        self.volume = home / "log-volume"
        self.logs = self.volume / demonstration.LOGS
        self.agent_state = self.volume / demonstration.AGENT_STATE
        self.collected = elsewhere / "collected.log"
        self.progress = elsewhere / "progress"
        self.pid_file = elsewhere / "agent.pid"
        self.output = elsewhere / "output.txt"

    def make(self) -> None:
        """Make the directories."""
        for directory in (self.volume, self.output.parent):
            directory.mkdir(parents=True)
        self.collected.touch()


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended.

    Attributes:
        lines: what became of the log.
        troubles: what went wrong besides, each a sentence.
    """

    lines: LineCount
    troubles: tuple[str, ...]


class Story:
    """A story that goes on; made by `story`.

    Attributes:
        aws: as it is played.
        config: the settings of the daemon on the instance.
    """

    def __init__(self, places: Places, aws: "StoryAws", programs: ProcessGroup, without: frozenset[str]) -> None:
        self.aws = aws
        self.config = places.progress.parent / "demonstration.toml"
        self._places = places
        self._programs = programs
        self._without = without
        self._troubles: list[str] = []
        self._began_at = time.monotonic()
        hooks = demonstration.story_settings(
            words=_host_words(aws.volume_id, places), volume=places.volume, pid_file=places.pid_file, without=without
        )
        self.config.write_text(hooks, encoding="utf-8")

    def hear(self, line: Line, tell: Tell) -> None:
        """Pass on a line of the rehearsal, and tell what it means for the log."""
        self._began_at = time.monotonic() - line.at
        tell(line)
        match line.name, line.values.get("hook"), line.values.get("status"):
            case "daemon-started", *_:
                self._say(tell, "app", f"writes its log, line {lines_written(self._places.progress)} by now")
            case "hook-ended", "flush-logs", "succeeded":
                sent = self._places.collected.read_bytes().count(b"\n")
                self._say(tell, "agent", f"has sent {sent} lines and left; the application still writes")

    def end(self, tell: Tell) -> Ending:
        """The instance dies, and what it has left is shipped and counted."""
        time.sleep(LIVES_ON_SECONDS)
        half_line = self._die(tell)
        survived = self._terminate(tell)
        if survived and "ship" not in self._without:
            self._ship(tell)
        lines = count_lines(
            lines_written(self._places.progress),
            half_line,
            self._places.collected.read_bytes(),
            _shipped(f"s3://{self.aws.bucket}"),
        )
        return Ending(lines, tuple(self._troubles))

    def _die(self, tell: Tell) -> bytes:
        """Kill everything that runs on the instance; the half of a line with which its log ends."""
        application, agent = self._programs.exit_codes()
        if application is not None or agent:
            self._troubles.append(f"a program of the story has failed: {self._last_words()}")
        self._programs.kill_at(lambda: bool(_half_line(self._places.logs / LOG)))
        half_line = _half_line(self._places.logs / LOG)
        number = lines_written(self._places.progress) + 1
        where = f"in the middle of line {number}" if half_line else "between two lines"
        self._say(tell, "AWS", f"{self.aws.instance.instance_id} dies {where}")
        return half_line

    def _last_words(self) -> str:
        words = self._places.output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(words) if line.strip()), "it has said nothing")

    def _terminate(self, tell: Tell) -> bool:
        if self.aws.terminate():
            self._say(tell, "AWS", f"{self.aws.volume_id} has survived its instance")
            return True
        shutil.rmtree(self._places.volume)
        self._say(tell, "AWS", f"{self.aws.volume_id} is deleted with its instance")
        return False

    def _ship(self, tell: Tell) -> None:
        def hear(lines: Sequence[str]) -> None:
            for line in lines:
                name, level, values = read_record(line)
                tell(Line(self._now, "ship", name, level if values else "info", values))

        words = [*_host_words(self.aws.volume_id, self._places), "ship", *self._ship_words()]
        with FollowedProcess(words, environment_for_children(os.environ)) as ship:
            limit = time.monotonic() + SHIP_SECONDS
            while not ship.ended and time.monotonic() < limit:
                hear(ship.read_lines(time.monotonic() + LOOK_SECONDS))
            code = ship.stop(hear, hurry=False)
        if code:
            self._troubles.append(f"ship has ended with {code}")

    def _ship_words(self) -> list[str]:
        """The words of the batch job; no settings of this machine's, and nothing in its directories."""
        told = {
            "--config": self.config,
            "--set": "log.format=json",
            "--to": f"s3://{self.aws.bucket}",
            "--host-instance-id": self.aws.permanent_id,
            "--availability-zone": self.aws.instance.availability_zone,
            "--region": self.aws.instance.region,
            "--scratch": self._places.progress.parent,
        }
        state = f"--set=state.directory={self._places.progress.parent}"
        return [state, *(f"{word}={value}" for word, value in told.items())]

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _say(self, tell: Tell, who: str, words: str) -> None:
        tell(Line(self._now, who, words, "info", {}))


@contextmanager
def story(home: Path, pretended: Instance, without: frozenset[str]) -> Iterator[Story]:
    """A story that has begun: the application logs already, and AWS has an instance.

    Nothing of it goes on after the context.

    Args:
        home: where everything is kept.
        pretended: what the instance is like.
        without: which of `PARTS` are left out.
    """
    places = Places(home)
    places.make()
    with _no_other_aws(), ProcessGroup(environment_for_children(os.environ)) as programs:
        programs.start(_program("application", places.logs, places.progress), places.output)
        agent = _program("log_agent", places.logs, places.agent_state, places.collected, places.pid_file)
        programs.start(agent, places.output)
        with _uninterrupted():
            from spotwatch.cli.story_aws import story_aws  # takes a second, while the application logs already
        with story_aws(pretended) as aws:
            yield Story(places, aws, programs, without)


@contextmanager
def _no_other_aws() -> Iterator[None]:
    """Put aside what our environment says of another AWS, and of proxies; moto looks at it as soon as it is imported.

    Everything that is set meanwhile is put aside afterwards.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Interruptions come after this: libraries swallow one that comes while they look what they can import."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _program(name: str, *words: Path) -> list[str]:
    return [sys.executable, "-P", "-m", f"spotwatch.simulate.{name}", *map(str, words)]


def _host_words(volume_id: str, places: Places) -> list[str]:
    return [sys.executable, "-P", "-m", "spotwatch.cli.story_host", volume_id, str(places.volume)]


def _half_line(log: Path) -> bytes:
    """What comes after the last newline of a log."""
    try:
        return log.read_bytes().rpartition(b"\n")[2]
    except FileNotFoundError:  # it is being rotated
        return b""


def _shipped(url: str) -> Iterator[bytes]:
    """Everything that was shipped: each stretch of a file that has no gap."""
    from spotwatch.cli.destinations import Keeping, destination
    from spotwatch.ship.reading import contents, latest_manifests, shipped_files

    archive = destination(url, Keeping())
    for _, manifest in latest_manifests(archive):
        for file in shipped_files(manifest):
            stretch, end = b"", 0
            for content in contents(archive, [file]):
                if stretch and content.start != end:
                    yield stretch
                    stretch = b""
                stretch += content.data
                end = content.start + len(content.data)
            yield stretch
