"""``spotwatch simulate``: the rehearsal, and the fake metadata service for other people's programs."""

import os
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from spotwatch.cli.audience import Audience, Document, Outcome, Terminal
from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.cli.story import INSTALL, PARTS, Story, story, what_is_missing
from spotwatch.config import BUILT_IN
from spotwatch.core.errors import ScenarioError, StateUnavailable, UsageError
from spotwatch.core.event import INTERRUPTIONS
from spotwatch.core.hook import HookStatus
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import MetadataSettings, Settings, StateSettings
from spotwatch.hooks import only_says_in_rehearsal
from spotwatch.host.followed import FollowedProcess
from spotwatch.host.journal import Journal
from spotwatch.host.records import Records
from spotwatch.host.service_manager import environment_for_children
from spotwatch.simulate import demonstration
from spotwatch.simulate.rehearsal import Course, Rehearsal
from spotwatch.simulate.scenario import DEFAULT_STEPS, TROUBLES, Scenario, read_scenario, scenario
from spotwatch.simulate.service import MetadataService
from spotwatch.simulate.verdict import INTERRUPTED, judge, with_lines

if TYPE_CHECKING:
    pass

DESCRIPTION = """\
Rehearse an interruption on this machine, without AWS and without root: a fake
metadata service is served on a free loopback port, the real daemon is run
against it with your settings, a scenario is played, and the end shows the
hooks against the deadline and a verdict.

Without settings and steps of yours a whole story is played, with a few
demonstration hooks: an application logs, an agent sends most of it, the notice
comes, "spotwatch hook preserve-volume" has AWS keep the log volume, and the
instance dies in the middle of a line. "spotwatch ship" ships the rest from
another instance, and the end counts every line: written, sent, shipped, lost,
twice. Half a line is none of those; its bytes have to be shipped all the same.
AWS is played by moto, made strict, and a directory stands for the volume,
because mounting needs root. Nothing of yours is touched.

Your hooks are really run, so rehearse where they may be. Built-in hooks that
call AWS only say what they would do, unless --call-aws is given. Every hook
finds SPOTWATCH_REHEARSAL=1 in its environment, unless --call-aws is given.

Of your settings the endpoint, [state] and [log] are replaced by those of the
rehearsal, and drain.on_shutdown is off: the SIGTERM at the end of a rehearsal
is no shutdown of the machine. "spotwatch drain --event shutdown" drains for it.
"""

EPILOG = f"""\
steps, for --at and for the file of --scenario:
  2s rebalance            a rebalance recommendation, 2 s after the daemon has
                          started
  6s terminate 120s       an interruption notice with 120 s to go; also stop
                          and hibernate
  6s terminate -10s       a notice whose time has passed 10 s ago
  6s maintenance instance-retirement 60s
                          a scheduled event that begins in 60 s
  6s lifecycle Terminated the Auto Scaling group takes the instance out of
                          service
  9s withdraw terminate   the notice is gone; also rebalance, maintenance, ...
  3s revoke-tokens        every session token becomes invalid
  3s trouble refused 4s   the metadata service is in trouble for 4 s; without
                          a duration, for good. Troubles are:
                          {", ".join(list(TROUBLES)[:6])},
                          {", ".join(list(TROUBLES)[6:11])},
                          {", ".join(list(TROUBLES)[11:])}
  Without any: {", ".join(DEFAULT_STEPS)}. With --serve: none.

a scenario file:
  steps = ["2s rebalance", "6s terminate 120s"]
  [instance]
  instance_type = "c6i.4xlarge"
  [service]
  imdsv1 = false              # true: tokens are not required
  hop_limit_exceeded = false  # true: token requests are never answered

exit codes:
  0    drained in time, and every hook succeeded; in the story also no line
       lost, and none twice
  1    a hook failed, was cut or given up, an announcement went unnoticed, the
       daemon failed, or a line is lost or twice
  64   the command line is wrong, or the port cannot be used
  65   the scenario file is wrong
  73   --directory cannot be used
  78   the settings have mistakes; nothing was started
  130  interrupted (SIGINT, SIGTERM, SIGHUP); with --serve that is the way to
       end, and 0

examples:
  spotwatch simulate
  spotwatch simulate --without preserve-volume
  spotwatch simulate --config ./spotwatch.toml --at "3s terminate 40s"
  spotwatch simulate --config ./spotwatch.toml --json | jq .sentence
  spotwatch simulate --serve --port 1338 --at "30s terminate 120s"
"""

INTERRUPTED_EXIT_CODE = 130


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser, default="demonstration hooks")
    parser.add_argument(
        "--at", metavar="STEP", action="append", default=[], help="what happens when (see below); may be repeated"
    )
    parser.add_argument("--scenario", metavar="FILE", type=Path, help="read the steps from a TOML file (see below)")
    parser.add_argument(
        "--directory", metavar="DIR", type=Path, help="keep reports and the hooks' outputs here (default: nowhere)"
    )
    parser.add_argument(
        "--without",
        metavar="PART",
        action="append",
        choices=PARTS,
        default=[],
        help=f"play the story without a part of it, to see what becomes of the log then: {' or '.join(PARTS)}",
    )
    parser.add_argument("--call-aws", action="store_true", help="let built-in hooks call AWS for real")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end, and nothing else")
    parser.add_argument("--serve", action="store_true", help="only serve the fake metadata service, until interrupted")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="port to serve on (default: a free one)")


def run(arguments: Namespace) -> int:
    """Rehearse, or serve."""
    played = _scenario(arguments)
    with _interruptible():
        return _serve(played, arguments) if arguments.serve else _rehearse(played, arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError("write a number from 0 to 65535; 0 is a free port")
    return int(text)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end us as Ctrl-C does: with everything that we started."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _scenario(arguments: Namespace) -> Scenario:
    if arguments.scenario and arguments.at:
        raise UsageError("--scenario and --at exclude each other", hint="put the steps into the file")
    if arguments.scenario:
        return read_scenario(arguments.scenario)
    try:
        return scenario(arguments.at or ([] if arguments.serve else DEFAULT_STEPS))
    except ScenarioError as error:
        mistakes = "\n".join(f"--at: {line}" for line in error.message.splitlines())
        raise UsageError(mistakes, hint=error.hint) from None


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
        _start(service, arguments)
        yield service
    finally:
        service.close()


def _start(service: MetadataService, arguments: Namespace) -> None:
    try:
        service.start()
    except OSError as error:
        raise UsageError(
            f"cannot serve on {arguments.host} port {arguments.port}: {error.strerror}",
            hint="name a free port with --port, or leave it out",
        ) from None


def _serve(played: Scenario, arguments: Namespace) -> int:
    """Serve until interrupted, playing the steps."""
    needless = [f"--{name.replace('_', '-')}" for name in _FOR_REHEARSALS if getattr(arguments, name)]
    if needless:
        raise UsageError(f"--serve runs no daemon, so it has no use for {', '.join(needless)}", hint="leave it out")
    with _service(played, arguments) as service:
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


_FOR_REHEARSALS = ("config", "set", "directory", "without", "call_aws", "json")


def _rehearse(played: Scenario, arguments: Namespace) -> int:
    show = Document() if arguments.json else Terminal()
    missing = what_is_missing() if _is_story(arguments) else ""
    if missing and arguments.without:
        raise UsageError(f"the log's story cannot be played without {missing}", hint=INSTALL)
    with TemporaryDirectory(prefix="spotwatch-rehearsal-", ignore_cleanup_errors=True) as temporary:
        home = Path(temporary)
        if missing or not _is_story(arguments):
            return _perform(played, arguments, show, home, arguments.config or _demonstration(home))
        with story(home, played.instance, frozenset(arguments.without)) as told:
            played = replace(played, instance=told.aws.instance)
            return _perform(played, arguments, show, home, told.config, told)


def _is_story(arguments: Namespace) -> bool:
    """Whether the whole story is asked for: nothing in it is of the user's."""
    own = [word for word in ("config", "at", "scenario", "call_aws") if getattr(arguments, word)]
    if own and arguments.without:
        raise UsageError(
            f"--without is for the whole story, which is not played with --{own[0].replace('_', '-')}",
            hint="leave one of them out",
        )
    return not own


def _perform(
    played: Scenario,
    arguments: Namespace,
    show: Audience,
    home: Path,
    config: Path,
    told: Story | None = None,
) -> int:
    """Play it before an audience; the exit code."""
    settings = load_settings(arguments, config)
    state = _state((arguments.directory or home).absolute())
    records = _records(state)
    earlier = {report.drain for report in records.reports()}
    _put_aside_earlier_drains(state)
    with _service(played, arguments) as service:
        show.introduce(_places(service, arguments, told))
        words = _daemon_words(config, arguments.set, service.url, state)
        tell = partial(told.hear, tell=show.line) if told else show.line
        with FollowedProcess(words, _environment(arguments)) as daemon:
            course = _play(Rehearsal(played, service, daemon, tell, _intervals(settings.metadata)))
    try:
        ending = told.end(show.line) if told and course and course.started else None
    except KeyboardInterrupt:
        course, ending = None, None
    reports = [report for report in records.reports() if report.drain not in earlier]
    judgement = judge(course, reports) if course else INTERRUPTED
    if ending:
        judgement = with_lines(judgement, ending.lines, ending.troubles)
    said = {} if arguments.call_aws else _said(settings, reports)
    show.conclude(Outcome(reports, ending.lines if ending else None, said, judgement))
    if course is None:
        return INTERRUPTED_EXIT_CODE
    return 0 if judgement.passed else 1


def _said(settings: Settings, reports: Sequence[DrainReport]) -> Mapping[str, Sequence[str]]:
    """The words of the built-in hooks that have only said what they would do; by the names of the hooks."""
    speaking = {
        hook.name
        for hook in settings.hooks
        if hook.command[: len(BUILT_IN)] == BUILT_IN and only_says_in_rehearsal(hook.command[len(BUILT_IN)])
    }
    return {
        hook.name: Path(hook.output).read_text(encoding="utf-8", errors="replace").splitlines()
        for report in reports
        for hook in report.hooks
        if hook.name in speaking and hook.output and hook.status == HookStatus.SUCCEEDED
    }


def _places(service: MetadataService, arguments: Namespace, told: Story | None) -> Mapping[str, str]:
    """Where it takes place, by name."""
    places = {
        "metadata service": f"{service.url} (a fake one)",
        "settings": str(arguments.config or "those of the demonstration"),
    }
    if told:
        places["AWS"] = f"{told.aws.url} (moto, made strict)"
        places["log volume"] = f"{told.aws.volume_id} (a directory stands for it)"
    elif _is_story(arguments):
        places["log"] = f"not played without {what_is_missing()}: {INSTALL}"
    return places


def _play(rehearsal: Rehearsal) -> Course | None:
    """How it went; None if it was interrupted."""
    try:
        return rehearsal.play()
    except KeyboardInterrupt:
        return None


def _demonstration(directory: Path) -> Path:
    path = directory / "demonstration.toml"
    path.write_text(demonstration.SETTINGS, encoding="utf-8")
    return path


def _records(state: StateSettings) -> Records:
    """The records of the rehearsal, which is nothing without them.

    Raises:
        StateUnavailable: their directories cannot be made.
    """
    records = Records(state)
    problem = records.prepare()
    if problem:
        raise StateUnavailable(problem, hint=_OWN_DIRECTORY)
    return records


def _put_aside_earlier_drains(state: StateSettings) -> None:
    """A rehearsal begins with no drain; the daemon would go on with that of an earlier one in the same directory."""
    with closing(Journal(state.directory)) as journal:
        for drain in journal.unfinished():
            journal.close_drain(drain.id, "its rehearsal is over")


_OWN_DIRECTORY = "name a directory with --directory that you may write to, or leave it out"


def _daemon_words(config: Path, settings: Sequence[str], url: str, state: StateSettings) -> list[str]:
    """The command line of the daemon: the user's settings, with what a rehearsal replaces."""
    forced = {
        "metadata.endpoint": url,
        "state.directory": state.directory,
        "state.runtime_directory": state.runtime_directory,
        "drain.on_shutdown": "false",
        "log.format": "json",
        "log.level": "info",
    }
    all_settings = [*settings, *(f"{key}={value}" for key, value in forced.items())]
    words = [sys.executable, "-P", "-m", "spotwatch", "run", "--config", str(config)]
    return words + [word for setting in all_settings for word in ("--set", setting)]


def _environment(arguments: Namespace) -> dict[str, str]:
    environment = environment_for_children(os.environ)
    environment.pop("JOURNAL_STREAM", None)
    return environment if arguments.call_aws else {**environment, "SPOTWATCH_REHEARSAL": "1"}


def _intervals(settings: MetadataSettings) -> Mapping[str, float | None]:
    """How often the daemon looks for each event; None for what it does not look for."""
    return {
        **dict.fromkeys(map(str, INTERRUPTIONS), settings.poll_interval),
        "rebalance": settings.rebalance_interval,
        "lifecycle": settings.lifecycle_interval,
        "maintenance": settings.maintenance_interval,
    }


def _state(directory: Path) -> StateSettings:
    return replace(StateSettings(), directory=str(directory / "state"), runtime_directory=str(directory / "run"))
