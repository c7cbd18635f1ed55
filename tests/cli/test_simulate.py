"""``spotwatch simulate`` as a user runs it: a process of its own, with the real daemon below it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from spotwatch.core.report import DrainReport
from spotwatch.host.processes import read_process
from spotwatch.simulate.service import MetadataService
from tests.cli.conftest import PATIENCE, Spotwatch, command_line, environment

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

Main = Callable[..., tuple[int, str, str]]
Started = Callable[..., subprocess.Popen[str]]

QUICK = """\
[metadata]
poll_interval = "200ms"
rebalance_interval = "200ms"
lifecycle_interval = "200ms"
"""


HASTY = '[drain]\nkill_grace = "200ms"\n'


def hook(name: str, script: str, *lines: str) -> str:
    rest = "".join(f"{line}\n" for line in lines)
    return f"[[hook]]\nname = \"{name}\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n{rest}"


@dataclass(frozen=True)
class Run:
    """One rehearsal: its words, and the settings file that it is given if it has any."""

    words: tuple[str, ...]
    settings: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


RUNS: dict[str, Run] = {
    "demonstration": Run(("--at", "2s rebalance", "--at", "6s terminate 120s")),
    "good": Run(
        ("--at", "0.2s terminate 20s"), QUICK + hook("a", "echo $SPOTWATCH_REHEARSAL; sleep 0.1", 'timeout = "10s"')
    ),
    "json": Run(("--json", "--at", "0.2s rebalance", "--at", "1s stop 20s"), QUICK + hook("a", "sleep 0.1")),
    "said": Run(
        ("--at", "0.2s terminate 20s"),
        QUICK
        + '[[hook]]\nname = "stop"\nuse = "stop-units"\nargs = ["app.service"]\ntimeout = "10s"\n'
        + hook("a", "echo a"),
    ),
    "cut": Run(
        ("--at", "0.2s terminate 4s"),
        QUICK
        + hook("quick", "exit 0", "stage = 10")
        + hook("stubborn", 'trap "" TERM; while :; do sleep 0.1; done', "stage = 20", 'timeout = "30s"'),
    ),
    "failing": Run(
        ("--at", "0.2s terminate 20s"), QUICK + hook("save", "echo no space left; exit 3"), {"COLUMNS": "46"}
    ),
    "missing": Run(("--at", "0.2s terminate 20s"), QUICK + '[[hook]]\nname = "gone"\ncommand = ["/no/such/program"]\n'),
    "shutdown": Run(
        ("--at", "0.2s terminate 20s"),
        QUICK + "[drain]\non_shutdown = true\n" + hook("a", "exit 0", 'on = ["terminate", "shutdown"]'),
    ),
    "trouble": Run(("--at", "0.2s trouble refused 500ms", "--at", "0.8s lifecycle Terminated"), QUICK),
}
"""All are played side by side, the longest first, since they mostly wait."""


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """The outcome of one of `RUNS`."""

    def perform(name: str) -> subprocess.CompletedProcess[str]:
        run, directory = RUNS[name], tmp_path_factory.mktemp(name)
        (directory / "settings.toml").write_text(run.settings)
        config = ("--config", str(directory / "settings.toml")) if run.settings else ()
        return subprocess.run(
            command_line("simulate", *config, *run.words),
            env=environment(directory, **run.variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    with ThreadPoolExecutor(max_workers=4) as stage:
        futures: dict[str, Future[subprocess.CompletedProcess[str]]] = {
            name: stage.submit(perform, name) for name in RUNS
        }
        yield lambda name: futures[name].result()


Performed = Callable[[str], subprocess.CompletedProcess[str]]


class TestVerdicts:
    def test_hooks_that_succeed_are_drained_in_time_with_0(self, performed: Performed) -> None:
        done = performed("good")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("drained in time, with 1")

    def test_what_a_built_in_hook_has_only_said_is_shown(self, performed: Performed) -> None:
        done = performed("said")
        assert done.returncode == 0
        *_, heading, words, _, sentence = done.stdout.splitlines()
        assert heading == " not done, but said, as in every rehearsal without --call-aws:"
        assert words.startswith("   stop  would stop app.service")
        assert sentence.startswith("drained in time")

    def test_a_hook_that_was_cut_is_named_with_how_much_it_lacked(self, performed: Performed) -> None:
        done = performed("cut")
        assert done.returncode == 1
        sentence = done.stdout.splitlines()[-1]
        assert sentence.startswith("not drained in time: stubborn was cut after ")
        assert sentence.endswith(" short of its timeout of 30 s")
        assert "stubborn gets SIGTERM\n" in done.stdout
        assert "stubborn gets SIGKILL\n" in done.stdout

    def test_a_hook_that_failed_is_named_and_its_last_words_are_shown(self, performed: Performed) -> None:
        done = performed("failing")
        assert done.returncode == 1
        assert "| no space left\n" in done.stdout
        *_, sentence, problem = done.stdout.splitlines()
        assert sentence.endswith(" to spare, but not in good order")
        assert problem == "  save failed with exit code 3"

    def test_a_program_that_is_missing_is_named(self, performed: Performed) -> None:
        done = performed("missing")
        assert done.returncode == 1
        assert "gone was not started: " in done.stdout.splitlines()[-1]
        assert "/no/such/program" in done.stdout.splitlines()[-1]

    def test_the_end_of_a_rehearsal_is_no_shutdown(self, performed: Performed) -> None:
        done = performed("shutdown")
        assert done.returncode == 0, done.stdout
        assert " daemon drain for shutdown " not in done.stdout

    def test_a_narrow_terminal_gets_no_wrapped_timeline(self, performed: Performed) -> None:
        rows = performed("failing").stdout.splitlines()
        (row,) = [row for row in rows if row.startswith(" 50")]
        assert row.split()[1] == "save"
        assert len(row) <= 46

    def test_troubles_of_the_service_and_a_lifecycle_change_are_survived(self, performed: Performed) -> None:
        done = performed("trouble")
        assert "target lifecycle state Terminated" in done.stdout
        assert "metadata service well again" in done.stdout
        assert done.returncode == 0, done.stdout


class TestJson:
    def test_it_is_one_document_with_verdict_drains_and_lines(self, performed: Performed) -> None:
        done = performed("json")
        document = json.loads(done.stdout)
        assert (done.returncode, document["passed"], document["problems"]) == (0, True, [])
        (drain,) = map(DrainReport.from_json, document["drains"])
        assert [(event.event, event.effect) for event in drain.events] == [("rebalance", "began"), ("stop", "upgraded")]
        assert [(hook.name, hook.status) for hook in drain.hooks] == [("a", "succeeded")]
        assert {line["who"] for line in document["lines"]} == {"AWS", "daemon"}
        assert document["only_said"] == {}


class TestRefusals:
    @pytest.fixture(autouse=True)
    def nothing_is_started(self, tmp_path: Path) -> Iterator[None]:
        yield
        assert list(tmp_path.glob("spotwatch-rehearsal-*")) == []

    def test_settings_with_mistakes_are_refused_with_all_of_them(self, spotwatch: Spotwatch, tmp_path: Path) -> None:
        file = tmp_path / "settings.toml"
        file.write_text(f"{QUICK}imdsv1 = 1\n{hook('a', 'touch $0', 'stage = x')}".replace("= x", '= "x"'))
        done = spotwatch("simulate", "--config", str(file), "--set", "log.level=loud")
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr.splitlines() == [
            f"spotwatch: {file}: metadata.imdsv1: write true or false, without quotes",
            f"spotwatch: {file}: hook 1 (a): stage: write a whole number, without quotes",
            'spotwatch: --set: log.level: write one of "debug", "info", "warning", "error"',
            "spotwatch: 3 mistakes in the settings; nothing was started",
        ]

    def test_a_scenario_file_with_a_mistake_is_65(self, spotwatch: Spotwatch, tmp_path: Path) -> None:
        file = tmp_path / "scenario.toml"
        file.write_text('steps = ["2s explode"]')
        done = spotwatch("simulate", "--scenario", str(file))
        assert (done.returncode, done.stdout) == (65, "")
        assert done.stderr.startswith(f'spotwatch: {file}: the step "2s explode" is not understood: ')

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            (["--at", "2s explode"], 64, '--at: the step "2s explode" is not understood: "explode" is not known'),
            (["--at", ""], 64, '--at: the step "" is not understood: it is empty'),
            (["--at", "2s rebalance", "--scenario", "x"], 64, "--scenario and --at exclude each other"),
            (
                ["--serve", "--json", "--call-aws"],
                64,
                "--serve runs no daemon, so it has no use for --call-aws, --json",
            ),
            (
                ["--without", "ship", "--at", "1s rebalance"],
                64,
                "--without is for the whole story, which is not played with --at",
            ),
            (["--serve", "--without", "ship"], 64, "--serve runs no daemon, so it has no use for --without"),
            (["--host", "no such host"], 64, "cannot serve on no such host port 0: "),
            (
                ["--directory", "/dev/null/x", "--at", "1s rebalance"],
                73,
                "/dev/null/x/run cannot be made: Not a directory",
            ),
            (["--scenario", "/no/such"], 65, "/no/such: cannot be read: No such file or directory"),
        ],
    )
    def test_what_cannot_be_is_refused_with_a_hint(
        self, spotwatch: Spotwatch, words: list[str], code: int, message: str
    ) -> None:
        done = spotwatch("simulate", *words)
        assert done.returncode == code
        assert done.stderr.startswith(f"spotwatch: {message}")
        assert "\nhint: " in done.stderr

    def test_every_step_that_is_not_understood_is_a_line(self, spotwatch: Spotwatch) -> None:
        done = spotwatch("simulate", "--at", "2s explode", "--at", "soon", "--at", "1s rebalance")
        assert done.returncode == 64
        first, second, hint = done.stderr.splitlines()
        assert first.startswith('spotwatch: --at: the step "2s explode" is not understood: ')
        assert second.startswith('spotwatch: --at: the step "soon" is not understood: ')
        assert hint.startswith("hint: a step is a time and what happens")

    @pytest.mark.parametrize("words", [["--at", "1s rebalance"], ["--serve"]], ids=["rehearse", "serve"])
    def test_a_port_that_is_taken_is_told(self, spotwatch: Spotwatch, words: list[str]) -> None:
        with MetadataService() as service:
            port = str(httpx.URL(service.url).port)
            done = spotwatch("simulate", "--port", port, *words)
        assert done.returncode == 64
        assert done.stderr.startswith(
            f"spotwatch: cannot serve on 127.0.0.1 port {port}: Address already in use\nhint: "
        )


def test_a_scenario_file_is_played_and_a_directory_keeps_what_came_of_it(spotwatch: Spotwatch, tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text('steps = ["0s hibernate 0s"]\n[instance]\ninstance_id = "i-1"\n')
    (tmp_path / "settings.toml").write_text(QUICK + hook("a", "echo $SPOTWATCH_REHEARSAL on $SPOTWATCH_INSTANCE_ID"))
    words = ["simulate", "--config", f"{tmp_path}/settings.toml", "--scenario", f"{tmp_path}/scenario.toml"]
    for count in (1, 2):
        done = spotwatch(*words, "--directory", f"{tmp_path}/kept")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("hibernate: noticed with ") == 1, "the drains of an earlier rehearsal are none of this"
        outputs = list((tmp_path / "kept/state/output").rglob("*.log"))
        assert [path.read_text() for path in outputs] == ["1 on i-1\n"] * count


# While it runs


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True)
class Middle:
    """A rehearsal whose hook has started and will not end by itself."""

    process: subprocess.Popen[str]
    daemon: int
    hook: int

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out

    @property
    def is_gone(self) -> bool:
        return not any(Path("/proc", str(pid)).exists() for pid in (self.daemon, self.hook))


@pytest.fixture
def middle(started: Started, tmp_path: Path) -> Middle:
    file, pid = tmp_path / "settings.toml", tmp_path / "pid"
    file.write_text(QUICK + HASTY + hook("endless", f'trap "" TERM; echo $$ > {pid}; while :; do sleep 0.1; done'))
    process = started("simulate", "--config", str(file), "--at", "0s terminate 100s")
    wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
    (daemon,) = children(process.pid)
    return Middle(process, daemon, int(pid.read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interruption_in_the_middle_leaves_nothing_behind(
    middle: Middle, number: signal.Signals, tmp_path: Path
) -> None:
    middle.process.send_signal(number)
    code, out = middle.end()
    assert code == 130
    assert out.splitlines()[-1] == "interrupted: the rehearsal was not played to its end"
    assert middle.is_gone
    assert list(tmp_path.glob("spotwatch-rehearsal-*")) == []


def test_an_impatient_second_ctrl_c_leaves_nothing_behind_either(middle: Middle) -> None:
    middle.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    middle.process.send_signal(signal.SIGINT)
    assert middle.end()[0] == 130
    assert middle.is_gone


def test_a_rehearsal_that_is_killed_takes_the_daemon_with_it(started: Started) -> None:
    process = started("simulate", "--at", "60s rebalance")
    assert process.stdout is not None
    assert any("daemon started" in line for line in process.stdout)
    (daemon,) = children(process.pid)
    process.kill()
    wait_for(lambda: (now := read_process(daemon)) is None or not now.is_alive)


def test_a_daemon_that_is_killed_in_the_middle_is_the_verdict(middle: Middle) -> None:
    os.kill(middle.daemon, signal.SIGKILL)
    code, out = middle.end()
    assert code == 1
    assert "\nnot drained: the daemon ended in the middle of the rehearsal (killed by SIGKILL)\n" in out
    assert out.splitlines()[-1] == "  the drain for terminate did not end"
    assert middle.is_gone


class TestServe:
    @pytest.fixture
    def serving(self, started: Started) -> tuple[subprocess.Popen[str], str]:
        process = started("simulate", "--serve", "--at", "0s stop 100s")
        assert process.stdout is not None
        first, second, third = (process.stdout.readline() for _ in range(3))
        url = second.rstrip().rpartition("=")[2]
        assert first == f"serving a fake metadata service at {url}, until interrupted\n"
        assert third.endswith(" s  interruption notice: stop, 100 s to go\n")
        return process, url

    def test_it_answers_another_process(self, serving: tuple[subprocess.Popen[str], str]) -> None:
        _, url = serving
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/latest/meta-data/mac").status_code == 401
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            token = {"X-aws-ec2-metadata-token": client.put("/latest/api/token", headers=ttl).text}
            notice = client.get("/latest/meta-data/spot/instance-action", headers=token)
        assert notice.json()["action"] == "stop"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    def test_it_ends_when_it_is_told_to(
        self, serving: tuple[subprocess.Popen[str], str], number: signal.Signals
    ) -> None:
        process, url = serving
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)


def test_without_rich_there_is_still_json(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "spotwatch.simulate.view", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    code, _, err = main("simulate")
    assert code == 64
    assert err == (
        "spotwatch: the rehearsal's view needs the package rich\n"
        "hint: install the extra as the README does: pip install '.[simulate]'; or use --json\n"
    )


class TestDemonstration:
    def test_it_needs_no_settings_and_comes_to_a_good_verdict_in_half_a_minute(self, performed: Performed) -> None:
        done = performed("demonstration")
        assert (done.returncode, done.stderr) == (0, "")
        assert "settings          those of the demonstration\n" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("drained in time, with 11")

    def test_it_shows_what_happens_as_it_happens_and_then_the_timeline(self, performed: Performed) -> None:
        out = performed("demonstration").stdout
        happenings = [
            "AWS    rebalance recommendation\n",
            "daemon stop-taking-jobs starts (stage 10), may take 10 s\n",
            "AWS    interruption notice: terminate, 2 min to go\n",
            "daemon drain upgraded to terminate, ",
            "daemon flush-logs succeeded after ",
            "terminate: noticed with ",
            " stage  hook ",
        ]
        places = [out.index(text) for text in happenings]
        assert places == sorted(places)

    def test_nothing_wraps_at_80_columns_and_nothing_is_colored(self, performed: Performed) -> None:
        out = performed("demonstration").stdout
        assert [line for line in out.splitlines() if len(line.rstrip()) > 80] == []
        assert "\x1b" not in out
