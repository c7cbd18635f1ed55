"""``spotwatch check``: what it finds, how bad it is, and what it says to do."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotwatch.simulate.faults import Refused, Silent, Status
from spotwatch.simulate.service import MetadataService

Main = Callable[..., tuple[int, str, str]]
Check = Callable[..., tuple[int, list[dict[str, str]]]]

FOR_EVERYTHING = 'on = ["terminate", "stop", "hibernate"]\n'


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService() as service:
        yield service


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spotwatch.toml"


@pytest.fixture
def check(main: Main, service: MetadataService, file: Path) -> Check:
    """Check settings against the fake service, with directories of ours: the exit code, and the findings."""
    ours = [
        f"metadata.endpoint={service.url}",
        f"state.directory={file.parent}/state",
        f"state.runtime_directory={file.parent}/run",
    ]
    options = [word for setting in ours for word in ("--set", setting)]

    def check(settings: str, *words: str) -> tuple[int, list[dict[str, str]]]:
        file.write_text(settings)
        code, out, err = main("check", "--json", "-c", str(file), *options, *words)
        assert err == ""
        return code, json.loads(out)

    return check


def hook(name: str = "a", command: str = "/bin/true", **values: Any) -> str:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return f'[[hook]]\nname = "{name}"\ncommand = ["{command}"]\n{lines}'


def of(findings: list[dict[str, str]], subject: str, grade: str = "") -> list[str]:
    """The texts of the findings about a subject, of any grade if none is given."""
    found_there = [found for found in findings if found["subject"] == subject]
    return [found["text"] for found in found_there if grade in {"", found["grade"]}]


def test_sound_settings_are_all_ok(check: Check, file: Path, service: MetadataService) -> None:
    code, findings = check(hook(timeout="20s"))
    assert code == 0
    assert [(found["grade"], found["subject"], found["text"]) for found in findings] == [
        ("ok", "settings", f"{file}: 1 hook"),
        ("ok", "metadata", f"{service.url} answers, IMDSv2; this is i-0123456789abcdef0"),
        ("ok", "clock", findings[2]["text"]),
        ("ok", "hook", "a: stage 50, on hibernate, stop, terminate"),
        ("ok", "budget", "2 min to go: all hooks fit, with 100 s to spare at the worst"),
        ("ok", "budget", "40 s to go: all hooks fit, with 20 s to spare at the worst"),
    ]
    assert findings[2]["text"].endswith(" s from AWS's, give or take half a second")


class TestSettings:
    def test_mistakes_end_it_with_all_of_them(self, main: Main, file: Path) -> None:
        file.write_text("[metadata]\ntimeout = 1\nimdsv1 = 2\n")
        code, out, err = main("check", "-c", str(file))
        assert (code, out) == (78, "")
        assert err.count(f"spotwatch: {file}: metadata.") == 2

    def test_drop_ins_are_named(self, check: Check, file: Path) -> None:
        directory = file.with_suffix(".d")
        directory.mkdir()
        (directory / "a.toml").write_text(hook("b"))
        _, findings = check(hook())
        assert of(findings, "settings") == [f"{file}, {directory}/a.toml: 2 hooks"]

    def test_an_interruption_without_a_hook_is_a_warning(self, check: Check) -> None:
        code, findings = check(hook(on=["terminate", "stop"]))
        assert code == 0
        assert of(findings, "settings", "warning") == ["no hook is for hibernate"]

    @pytest.mark.parametrize("which", ["the file", "its directory", "a drop-in", "their directory"])
    def test_what_others_could_write_is_a_problem(self, check: Check, tmp_path: Path, which: str) -> None:
        (tmp_path / "spotwatch.d").mkdir()
        (tmp_path / "spotwatch.d" / "a.toml").touch()
        (tmp_path / "spotwatch.toml").touch()
        place = {
            "the file": tmp_path / "spotwatch.toml",
            "its directory": tmp_path,
            "a drop-in": tmp_path / "spotwatch.d" / "a.toml",
            "their directory": tmp_path / "spotwatch.d",
        }[which]
        place.chmod(0o757)
        code, findings = check(hook(timeout="10s"))
        assert code == 1
        (problem,) = of(findings, "settings", "problem")
        assert problem.startswith(f"{place} can be written by others than its owner (")

    def test_a_directory_without_drop_ins_counts_too(self, check: Check, file: Path) -> None:
        file.with_suffix(".d").mkdir()
        file.with_suffix(".d").chmod(0o757)
        assert len(of(check(hook())[1], "settings", "problem")) == 1

    def test_a_poll_that_eats_the_notice_is_a_warning(self, check: Check) -> None:
        code, findings = check(f'{hook(timeout="10s")}\n[metadata]\npoll_interval = "30s"')
        assert code == 0
        assert of(findings, "settings", "warning") == [
            "metadata.poll_interval: 30 s of a notice may be over before it is seen"
        ]

    def test_times_that_leave_nothing_for_hooks_are_a_problem(self, check: Check) -> None:
        code, findings = check(f'{hook(timeout="10s")}\n[drain]\nmargin = "100s"\nkill_grace = "20s"')
        assert code == 1
        assert of(findings, "settings", "problem") == [
            "drain.margin and drain.kill_grace keep 2 min: nothing is left for hooks"
        ]


class TestState:
    def test_a_directory_that_cannot_be_made_is_a_problem(self, check: Check, file: Path) -> None:
        words = ["--set", f"state.directory={file}/state", "--set", f"state.runtime_directory={file}"]
        code, findings = check(hook(timeout="10s"), *words)
        assert code == 1
        assert of(findings, "state", "problem") == [
            f"state.directory: {file}/state cannot be made: {file} is not a directory",
            f"state.runtime_directory: {file} is not a directory",
        ]

    def test_nothing_is_made(self, check: Check, tmp_path: Path) -> None:
        _, findings = check(hook())
        assert of(findings, "state") == []
        assert [path.name for path in tmp_path.iterdir()] == ["spotwatch.toml"]


class TestMetadata:
    def test_a_service_that_is_not_there_is_one_problem(self, check: Check, service: MetadataService) -> None:
        service.trouble(Refused())
        code, findings = check(hook())
        assert code == 1
        (problem,) = of(findings, "metadata", "problem")
        assert "Connection refused" in problem

    def test_the_same_refusal_of_every_item_is_told_once(self, check: Check, service: MetadataService) -> None:
        service.trouble(Status(403))
        code, findings = check(hook())
        assert code == 1
        (problem,) = of(findings, "metadata", "problem")
        assert problem.startswith("spot/instance-action and ")
        assert "other items: " in problem

    def test_a_hop_limit_that_is_too_low_is_told(self, check: Check, service: MetadataService) -> None:
        service.trouble(Silent(), item="/latest/api/token")
        code, findings = check(hook(), "--set", "metadata.timeout=200ms")
        assert code == 1
        assert any("hop" in found["hint"] for found in findings if found["grade"] == "problem")

    def test_an_event_that_is_announced_now_is_a_warning(self, check: Check, service: MetadataService) -> None:
        service.interrupt("stop", datetime.now(UTC) + timedelta(seconds=100))
        _, findings = check(hook())
        assert of(findings, "metadata", "warning") == ["stop is announced at this moment"]

    def test_nothing_is_drained_because_of_it(self, check: Check, service: MetadataService, tmp_path: Path) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
        service.interrupt("stop", datetime.now(UTC) + timedelta(seconds=100))
        check(hook(command=str(program)))
        assert not (tmp_path / "ran").exists()


class TestHooks:
    def test_a_missing_program_is_a_problem(self, check: Check) -> None:
        code, findings = check(hook(command="/no/such"))
        assert code == 1
        assert of(findings, "hook") == ["a: /no/such does not exist"]

    def test_a_program_that_everybody_may_write_is_a_problem(self, check: Check, tmp_path: Path) -> None:
        program = tmp_path / "program"
        program.touch()
        program.chmod(0o777)
        code, findings = check(hook(command=str(program)))
        assert code == 1
        assert f"a: {program} can be written by others than its owner (-rwxrwxrwx)" in of(findings, "hook", "problem")

    def test_a_program_that_is_searched_for_is_a_warning(self, check: Check) -> None:
        code, findings = check(hook(command="true"))
        assert code == 0
        assert of(findings, "hook", "warning") == ["a: true is searched for in PATH"]

    def test_the_words_of_a_built_in_are_examined(self, check: Check) -> None:
        code, findings = check('[[hook]]\nname = "a"\nuse = "run-parts"\nargs = ["--fast", "/etc/drain.d"]')
        assert code == 1
        assert "a: args: unrecognized arguments: --fast" in of(findings, "hook", "problem")

    @pytest.mark.parametrize(
        ("use", "args"),
        [
            ("run-parts", ["--dry-run", "/etc"]),
            ("leave-dns", ["--dry-run", "route53", "--name", "app.example.test"]),
            ("leave-dns", ["route53", "--name", "app.example.test", "--dry-run"]),
        ],
    )
    def test_a_built_in_that_would_only_say_what_it_does_is_a_warning(
        self, check: Check, use: str, args: list[str]
    ) -> None:
        code, findings = check(f'[[hook]]\nname = "a"\nuse = "{use}"\ntimeout = "9s"\nargs = {json.dumps(args)}')
        assert code == 0
        assert of(findings, "hook", "warning") == ["a: it does nothing but say what it would do"]

    @pytest.mark.parametrize(("key", "what"), [("user", "user"), ("group", "group")])
    def test_whom_it_runs_as_has_to_exist(self, check: Check, key: str, what: str) -> None:
        code, findings = check(hook(**{key: "no-such"}))
        assert code == 1
        assert of(findings, "hook") == [f'a: there is no {what} "no-such"']

    def test_that_we_are_not_root_and_could_not_become_its_user_is_a_warning(
        self, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 123456789)
        code, findings = check(hook(user="0", timeout="10s"))
        assert code == 0
        assert of(findings, "hook", "warning") == [
            "a: needs root for its user or group; checked as 123456789, not as root"
        ]


@pytest.mark.parametrize(("background", "warnings"), [(True, 0), (False, 1)])
def test_a_built_in_that_follows_the_drain_belongs_into_the_background(
    check: Check, background: bool, warnings: int
) -> None:
    keys = f'timeout = "9s"\nbackground = {json.dumps(background)}\n'
    args = '["--webhook", "https://hooks.example.com/x"]'
    code, findings = check(f'[[hook]]\nname = "tell"\nuse = "notify"\nargs = {args}\n{keys}')
    assert (code, len(of(findings, "hook", "warning"))) == (0, warnings)


class TestBudget:
    def test_hooks_that_fit_two_minutes_but_no_late_notice_are_a_warning(self, check: Check) -> None:
        code, findings = check(hook("a", stage=10, timeout="60s") + hook("b", stage=20, timeout="20s"))
        assert code == 0
        assert of(findings, "budget", "ok") == ["2 min to go: all hooks fit, with 40 s to spare at the worst"]
        late = of(findings, "budget", "warning")
        assert [text.split()[4] for text in late] == ["a", "b"]
        assert "of its 60 s when every hook takes all it may" in late[0]

    def test_hooks_that_do_not_fit_two_minutes_are_a_problem(self, check: Check) -> None:
        code, findings = check(hook("a", stage=10, timeout="100s") + hook("b", stage=20, timeout="60s"))
        assert code == 1
        (problem,) = of(findings, "budget", "problem")
        assert problem.startswith("2 min to go: b gets ")

    def test_a_hook_without_a_timeout_leaves_nothing_to_the_next(self, check: Check) -> None:
        code, findings = check(hook("a", stage=10) + hook("b", stage=20))
        assert code == 1
        assert all(" to go: b " in text for text in of(findings, "budget"))

    def test_a_reserve_mends_that(self, check: Check) -> None:
        code, _ = check(hook("a", stage=10) + hook("b", stage=20, timeout="10s", reserve="10s"))
        assert code == 0

    def test_no_more_than_the_settings_allow_is_dealt_out(self, check: Check) -> None:
        code, findings = check(f"{hook(timeout='50s')}\n[drain.limit]\nterminate = '30s'")
        assert code == 1
        assert "a gets 2" in of(findings, "budget", "problem")[0]

    def test_the_background_needs_no_time_of_the_others(self, check: Check) -> None:
        code, findings = check(hook("a", stage=10, background=True) + hook("b", stage=20, timeout="10s"))
        assert code == 0
        assert of(findings, "budget")[0] == "2 min to go: all hooks fit, with 110 s to spare at the worst"

    def test_without_hooks_there_is_nothing_to_fit(self, check: Check) -> None:
        _, findings = check("")
        assert of(findings, "budget") == ["2 min to go: no hook to run", "40 s to go: no hook to run"]


def test_people_get_a_line_a_finding_its_hint_and_a_sum(main: Main, service: MetadataService, file: Path) -> None:
    file.write_text(hook("a", "/no/such", timeout="10s") + hook("b", "true", timeout="10s"))
    code, out, err = main("check", "-c", str(file), "--set", f"metadata.endpoint={service.url}")
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert "problem  hook       a: /no/such does not exist" in lines
    assert lines[lines.index("problem  hook       a: /no/such does not exist") + 1].startswith(" " * 20 + "hint: ")
    assert lines[-2:] == ["", "1 problem, 1 warning"]


def test_a_hint_that_several_findings_share_is_given_once(main: Main, service: MetadataService, file: Path) -> None:
    file.write_text(hook("a", stage=10, timeout="110s") + hook("b", stage=20, timeout="110s"))
    _, out, _ = main("check", "-c", str(file), "--set", f"metadata.endpoint={service.url}")
    assert out.count("hint: shorten timeouts") == 1


@pytest.mark.parametrize(
    ("use", "args", "said"),
    [
        ("run-parts", ["/nonexistent"], "/nonexistent cannot be listed"),
        ("leave-target-groups", ["--target-group", "arn:aws:web"], "write the ARN of a target group"),
        ("notify", ["--webhook-file", "/nonexistent"], "/nonexistent cannot be read"),
        ("notify", ["--webhook-file", "/dev/null", "--template", "/nonexistent"], "holds nothing"),
        ("notify", ["--service-file", "/nonexistent"], "/nonexistent cannot be read"),
        (
            "leave-dns",
            ["update", "--name", "a.example", "--server", "ns", "--key-file", "/nonexistent"],
            "/nonexistent cannot be read",
        ),
        (
            "leave-dns",
            ["sql", "--name", "a.example", "--schema", "mydns", "--database", "oracle://u@db/dns"],
            "names no database",
        ),
    ],
)
def test_what_a_built_in_needs_and_is_not_here_is_a_problem(check: Check, use: str, args: list[str], said: str) -> None:
    code, findings = check(f'[[hook]]\nname = "a"\nuse = "{use}"\ntimeout = "9s"\nargs = {json.dumps(args)}')
    (problem,) = of(findings, "hook", "problem")
    assert (code, problem.startswith("a: "), said in problem) == (1, True, True)


def test_files_of_a_built_in_are_looked_up_from_the_directory_of_its_hook(check: Check, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://hooks.example/T0")
    there = '[[hook]]\nname = "{}"\nuse = "notify"\ntimeout = "9s"\nargs = ["--webhook-file", "url"]\n'
    _, findings = check(f"{there.format('a')}directory = {json.dumps(str(tmp_path))}\n{there.format('b')}")
    assert of(findings, "hook", "problem") == [
        "b: url cannot be read: No such file or directory; see its path and its owner"
    ]


def test_an_extra_that_a_built_in_needs_is_named(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    code, findings = check('[[hook]]\nname = "a"\nuse = "leave-target-groups"\ntimeout = "9s"')
    assert code == 1
    assert of(findings, "hook", "problem") == ["a: boto3 is not installed; install spotwatch with its extra: [aws]"]
