"""``spotwatch simulate``: the rehearsal, and the fake metadata service for other people's programs."""

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.errors import UsageError
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.host.followed import FollowedProcess
from spotwatch.host.records import Records
from spotwatch.host.service_manager import environment_for_children
from spotwatch.simulate import demonstration
from spotwatch.simulate.rehearsal import Line, Rehearsal
from spotwatch.simulate.scenario import DEFAULT_STEPS, TROUBLES, Scenario, read_scenario, scenario
from spotwatch.simulate.service import MetadataService
from spotwatch.simulate.verdict import Judgement, judge

if TYPE_CHECKING:
    from rich.console import Console

DESCRIPTION = """\
Rehearse an interruption on this machine, without AWS and without root: a fake metadata service is served on a free
loopback port, the real daemon is run against it with your settings (or, without --config, with demonstration hooks),
a scenario is played, and the hooks are shown against the deadline.

Your hooks are really run. Built-in hooks that call AWS only say what they would do, unless --call-aws is given.
"""

EPILOG = f"""\
steps (for --at, and for "steps = [...]" in a scenario file):
  2s rebalance                           a rebalance recommendation, 2 s after the daemon has started
  6s terminate 120s                      an interruption notice with 120 s to go; also stop and hibernate
  6s terminate -10s                      one whose time has passed 10 s ago
  6s maintenance instance-retirement 60s a scheduled event that begins in 60 s
  6s lifecycle Terminated                the Auto Scaling group takes the instance out
  9s withdraw terminate                  the notice is gone
  3s trouble refused 4s                  the service is in trouble for 4 s; without a duration, for good:
                                         {", ".join(list(TROUBLES)[:7])},
                                         {", ".join(list(TROUBLES)[7:])}
  3s revoke-tokens                       every session token becomes invalid
The default is: {", ".join(DEFAULT_STEPS)}.

exit codes:
  0   drained in time, every hook succeeded
  1   a hook failed, was cut or given up, or an announcement went unnoticed
  64, 65, 78  the command line, the scenario or the settings are wrong

examples:
  spotwatch simulate
  spotwatch simulate --config /etc/spotwatch/spotwatch.toml --at "3s terminate 40s"
  spotwatch simulate --serve --port 1338 --at "30s terminate 120s"
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    parser.add_argument("--at", metavar='"STEP"', action="append", default=[], help="what happens when; see below")
    parser.add_argument("--scenario", metavar="FILE", type=Path, help="a TOML file with steps, instance and service")
    parser.add_argument("--directory", metavar="DIR", type=Path, help="keep reports and outputs in this directory")
    parser.add_argument("--call-aws", action="store_true", help="let built-in hooks call AWS for real")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end, and nothing else")
    parser.add_argument("--serve", action="store_true", help="only serve the fake metadata service, until SIGINT")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: a free one)")


def run(arguments: Namespace) -> int:
    """Rehearse, or serve."""
    played = _scenario(arguments)
    with _service(played, arguments) as service:
        return _serve(service, played) if arguments.serve else _rehearse(service, played, arguments)


def _scenario(arguments: Namespace) -> Scenario:
    if arguments.scenario and arguments.at:
        raise UsageError("--scenario and --at exclude each other", hint="put the steps into the file")
    if arguments.scenario:
        return read_scenario(arguments.scenario)
    return scenario(arguments.at or ([] if arguments.serve else DEFAULT_STEPS))


@contextmanager
def _service(played: Scenario, arguments: Namespace) -> Iterator[MetadataService]:
    service = MetadataService(
        played.instance,
        host=arguments.host,
        port=arguments.port,
        imdsv1=played.imdsv1,
        hop_limit_exceeded=played.hop_limit_exceeded,
    )
    try:
        service.start()
    except OSError as error:
        raise UsageError(
            f"cannot serve on {arguments.host} port {arguments.port}: {error.strerror}",
            hint="name a free port with --port, or leave it out",
        ) from None
    try:
        yield service
    finally:
        service.close()


def _serve(service: MetadataService, played: Scenario) -> int:
    """Serve until SIGINT, playing the steps."""
    print(f"serving a fake metadata service at {service.url}, until interrupted")
    print(f"for AWS's own tools: export AWS_EC2_METADATA_SERVICE_ENDPOINT={service.url}", flush=True)
    began = time.monotonic()
    try:
        for step in played.steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            step.act(service)
            print(f"{time.monotonic() - began:6.1f} s  {step.words}", flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return 0


def _rehearse(service: MetadataService, played: Scenario, arguments: Namespace) -> int:
    with TemporaryDirectory(prefix="spotwatch-rehearsal-") as temporary:
        directory = (arguments.directory or Path(temporary)).absolute()
        words = _daemon_words(service, directory, Path(temporary), arguments)
        show = _Silence() if arguments.json else _Terminal()
        show.introduce(service, arguments)
        rehearsal = Rehearsal(played, service, FollowedProcess(words, _environment(arguments)), show.line)
        try:
            rehearsal.play()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        reports = Records(_state(directory)).reports()
        judgement = judge(played.announced, reports, rehearsal.exit_code, started=rehearsal.started)
        show.conclude(reports, judgement)
    return 0 if judgement.passed else 1


def _daemon_words(service: MetadataService, directory: Path, temporary: Path, arguments: Namespace) -> list[str]:
    """The command line of the daemon: the user's settings, with the endpoint and the directories of the rehearsal."""
    if arguments.config is None:
        arguments.config = temporary / "demonstration.toml"
        arguments.config.write_text(demonstration.SETTINGS, encoding="utf-8")
    load_settings(arguments)
    state = _state(directory)
    forced = {
        "metadata.endpoint": service.url,
        "state.directory": state.directory,
        "state.runtime_directory": state.runtime_directory,
        "log.format": "json",
        "log.level": "info",
    }
    settings = [*arguments.set, *(f"{key}={value}" for key, value in forced.items())]
    words = [sys.executable, "-m", "spotwatch", "run", "--config", str(arguments.config)]
    return words + [word for setting in settings for word in ("--set", setting)]


def _environment(arguments: Namespace) -> dict[str, str]:
    environment = environment_for_children(os.environ)
    environment.pop("JOURNAL_STREAM", None)
    return environment if arguments.call_aws else {**environment, "SPOTWATCH_REHEARSAL": "1"}


def _state(directory: Path) -> StateSettings:
    return replace(StateSettings(), directory=str(directory / "state"), runtime_directory=str(directory / "run"))


class _Silence:
    """For ``--json``: one document at the end."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def introduce(self, service: MetadataService, arguments: Namespace) -> None:
        """Nothing."""

    def line(self, line: Line) -> None:
        """Keep it for the document."""
        self._lines.append(line)

    def conclude(self, reports: Sequence[DrainReport], judgement: Judgement) -> None:
        """The document."""
        document = {
            **asdict(judgement),
            "drains": [report.to_json() for report in reports],
            "lines": [asdict(line) for line in self._lines],
        }
        print(json.dumps(document, indent=2))


class _Terminal:
    """For people: what happens as it happens, the timelines, the verdict."""

    def __init__(self) -> None:
        self._console = _console()

    def introduce(self, service: MetadataService, arguments: Namespace) -> None:
        """What is about to be seen."""
        settings = "the demonstration's hooks" if arguments.config.parent.name.startswith("spotwatch-") else ""
        self._console.print(f"fake metadata service at {service.url}; settings: {settings or arguments.config}")

    def line(self, line: Line) -> None:
        """One line."""
        from spotwatch.simulate.view import show_line

        show_line(self._console, line)

    def conclude(self, reports: Sequence[DrainReport], judgement: Judgement) -> None:
        """The timelines and the verdict."""
        from spotwatch.simulate.view import show_judgement, show_timeline

        for report in reports:
            if report.hooks:
                show_timeline(self._console, report)
        show_judgement(self._console, judgement)


def _console() -> "Console":
    try:
        from rich.console import Console
    except ImportError:
        raise UsageError(
            "the rehearsal's view needs the package rich", hint="pip install 'spotwatch[simulate]', or use --json"
        ) from None
    return Console(highlight=False)
