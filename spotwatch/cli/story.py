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
import sys
import time
from collections.abc import Callable, Iterator
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
from spotwatch.simulate.rehearsal import Line

if TYPE_CHECKING:
    from spotwatch.cli.story_aws import StoryAws

PARTS: Final = ("preserve-volume", "ship")
"""What the story can be played without, to see what becomes of the log then."""

LIBRARIES: Final = ("boto3", "flask", "flask_cors", "moto", "tenacity", "xxhash", "yaml", "zstandard")
"""What it needs besides what the rehearsal needs; the extra `story`."""

SHIP_SECONDS: Final = 60.0
"""It takes a few; after so long it is ended, and that is a failure."""

LOOK_SECONDS: Final = 0.2
"""Between two looks whether it has ended."""

Tell = Callable[[Line], None]


def what_is_missing() -> str:
    """Why the story cannot be played here, and what to do about it; empty if it can."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    return f"not played without {', '.join(missing)}: pip install '.[simulate]'" if missing else ""


class Places:
    """Where things are during the story.

    Args:
        home: a directory of the story's own, which need not exist.

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
        """Make the directories, and nothing of an earlier story in them."""
        for directory in (self.volume, self.output.parent):
            shutil.rmtree(directory, ignore_errors=True)
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
        half_line = self._die(tell)
        survived = self._terminate(tell)
        if survived and "ship" not in self._without:
            self._ship(tell)
        lines = count_lines(
            lines_written(self._places.progress),
            half_line,
            self._places.collected.read_bytes(),
            _shipped(),
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
        self._say(tell, "AWS", f"{self.aws.instance.instance_id} dies; its application was {where}")
        return half_line

    def _last_words(self) -> str:
        words = self._places.output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(words) if line.strip()), "it has said nothing")

    def _terminate(self, tell: Tell) -> bool:
        if self.aws.terminate():
            self._say(tell, "AWS", f"{self.aws.volume_id} has survived its instance")
            return True
        shutil.rmtree(self._places.volume)
        self._say(tell, "AWS", f"{self.aws.volume_id} is deleted with its instance (DeleteOnTermination)")
        return False

    def _ship(self, tell: Tell) -> None:
        words = _host_words(self.aws.volume_id, self._places)
        with FollowedProcess([*words, "ship", self.aws.permanent_id], environment_for_children(os.environ)) as ship:
            limit = time.monotonic() + SHIP_SECONDS

            def hear(lines: list[str]) -> None:
                for line in lines:
                    self._say(tell, "ship", line)

            while not ship.ended and time.monotonic() < limit:
                hear(ship.read_lines(time.monotonic() + LOOK_SECONDS))
            code = ship.stop(lambda lines: hear(list(lines)), hurry=False)
        if code:
            self._troubles.append(f"ship has ended with {code}")

    def _say(self, tell: Tell, who: str, words: str) -> None:
        tell(Line(time.monotonic() - self._began_at, who, words, "info", {}))


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
    with ProcessGroup(environment_for_children(os.environ)) as programs:
        programs.start(_program("application", places.logs, places.progress), places.output)
        agent = _program("log_agent", places.logs, places.agent_state, places.collected, places.pid_file)
        programs.start(agent, places.output)
        from spotwatch.cli.story_aws import story_aws  # takes a second, while the application logs already

        with story_aws(pretended) as aws:
            yield Story(places, aws, programs, without)


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


def _shipped() -> Iterator[bytes]:
    """Everything that was shipped: each stretch of a file that has no gap."""
    from spotwatch.cli.destinations import Keeping, destination
    from spotwatch.cli.story_aws import BUCKET
    from spotwatch.ship.reading import contents, latest_manifests, shipped_files

    archive = destination(f"s3://{BUCKET}", Keeping())
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
