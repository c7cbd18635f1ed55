"""flush-logs: who is told, how long it syncs, and when anything is frozen."""

from argparse import ArgumentParser

import pytest

from spotwatch.hooks import flush_logs
from tests.hooks.services import FakeAgents, FakeFileSystems, FakeServices

DRAIN = {
    "SPOTWATCH_EVENT": "terminate",
    "SPOTWATCH_DRAIN_ID": "20260101T000000.000Z-terminate",
    "SPOTWATCH_STATE_DIRECTORY": "/srv/state",
    "SPOTWATCH_SECONDS_LEFT": "60.0",
    "SPOTWATCH_TIMEOUT": "20.0",
}
"""The process began at 999.5 s, so SIGTERM comes at 1019.5 s and the deadline is at 1059.5 s."""

VOLUME = "/var/log/app"
REPORT = f"{VOLUME}/reports/20260101T000000.000Z-terminate.json"


def run(services: FakeServices, *words: str, dry_run: bool = False) -> int:
    parser = ArgumentParser()
    flush_logs.add_arguments(parser)
    arguments = parser.parse_args(("--mount-point", VOLUME, *words))
    return flush_logs.run(arguments, services, dry_run=dry_run)


def drained(*words: str, **parts: object) -> FakeServices:
    """The services after a drain in which everything went well, unless `parts` says otherwise."""
    services = FakeServices(environment=DRAIN, report="so far", **parts)  # type: ignore[arg-type]
    assert run(services, *words) == 0
    return services


class TestAgents:
    def test_each_is_told_in_its_own_way(self) -> None:
        services = drained(
            *("--unit", "fluent-bit", "--unit", "vector.service", "--signal", "usr1:/run/td.pid"),
            *("--signal", "SIGHUP:rsyslog.service", "--http", "http://127.0.0.1:24444/api/plugins.flushBuffers"),
            *("--http", "PUT http://[::1]/flush"),
        )
        assert sorted(services.agents.told) == [
            ("request", "http://127.0.0.1:24444/api/plugins.flushBuffers", "GET"),
            ("request", "http://[::1]/flush", "PUT"),
            ("signal process", "/run/td.pid", "USR1"),
            ("signal unit", "rsyslog.service", "HUP"),
            ("stop", "fluent-bit"),
            ("stop", "vector.service"),
        ]

    def test_one_that_cannot_be_told_is_a_failure_and_the_others_are_told(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        services = FakeServices(DRAIN, agents=FakeAgents(**{"fluent-bit": "has not ended"}))
        assert run(services, "--unit", "fluent-bit", "--unit", "vector") == 1
        assert sorted(services.agents.told) == [("stop", "fluent-bit"), ("stop", "vector")]
        out = capsys.readouterr().out
        assert "unit fluent-bit: has not ended\n" in out
        assert "unit vector: told\n" in out

    @pytest.mark.parametrize(
        ("limit", "timeout", "seconds"), [("5s", "20.0", 5.0), ("1m", "20.0", 18.5), ("5s", "1.0", 1.0)]
    )
    def test_each_has_its_limit_and_no_more_than_there_is_time(self, limit: str, timeout: str, seconds: float) -> None:
        services = FakeServices({**DRAIN, "SPOTWATCH_TIMEOUT": timeout})
        run(services, "--unit", "fluent-bit", "--limit", limit)
        assert services.agents.seconds == {seconds}


class TestHandedOver:
    def test_systemd_syncs_from_before_the_agents_are_told_and_the_hook_ends_soon(self) -> None:
        services = drained("--unit", "fluent-bit")
        (handed_over,) = services.file_systems.handed_over
        report = "/srv/state/reports/20260101T000000.000Z-terminate.json"
        assert handed_over == (VOLUME, 1059.5 - 2.0, 1059.5 + 30.0, report)
        assert (services.clock.slept, services.file_systems.syncs) == ([], 1)

    def test_it_is_frozen_when_that_is_wanted(self) -> None:
        assert drained("--freeze", "5s").file_systems.handed_over[0][1] == 1059.5 - 5.0

    def test_it_is_not_frozen_when_that_is_not_wanted(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert drained("--freeze", "0s").file_systems.handed_over[0][1] is None
        assert "not frozen: as told" in capsys.readouterr().out

    @pytest.mark.parametrize("event", ["stop", "hibernate", "shutdown", "rebalance", "lifecycle"])
    def test_only_a_termination_freezes_it(self, event: str, capsys: pytest.CaptureFixture[str]) -> None:
        services = FakeServices({**DRAIN, "SPOTWATCH_EVENT": event})
        assert run(services) == 0
        assert services.file_systems.handed_over[0][1] is None
        assert f"by itself on {event}" in capsys.readouterr().out

    def test_what_our_own_state_is_on_is_never_frozen(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The daemon writes its journal there, and would hang in the middle of the drain."""
        services = drained(file_systems=FakeFileSystems(no_freeze="/srv/state is on the same file system"))
        assert services.file_systems.spared == ["/srv/state"]
        assert services.file_systems.handed_over[0][1] is None
        assert "not frozen: /srv/state is on the same file system" in capsys.readouterr().out


class TestByItself:
    """Where there is no systemd, or it refuses."""

    def test_it_syncs_every_second_until_just_before_its_sigterm(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = drained(file_systems=FakeFileSystems(no_hand_over="systemd does not run here"))
        assert services.clock.seconds == 1018.5
        assert max(services.clock.slept) == 1.0
        assert services.file_systems.syncs >= 19
        assert "not frozen, and the drain's last report will not be on it: systemd does not run" in (
            capsys.readouterr().out
        )

    def test_it_syncs_while_an_agent_takes_its_time(self) -> None:
        files = FakeFileSystems(no_hand_over="systemd does not run here")

        class SlowAgents(FakeAgents):
            def stop(self, unit: str, seconds: float) -> str:
                while files.syncs < 2:
                    pass
                return super().stop(unit, seconds)

        drained("--unit", "fluent-bit", file_systems=files, agents=SlowAgents())

    def test_a_volume_that_cannot_be_synced_is_a_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = FakeServices(DRAIN, file_systems=FakeFileSystems(no_sync="Input/output error"))
        assert run(services) == 1
        assert "Input/output error" in capsys.readouterr().out


class TestReport:
    def test_what_is_known_of_the_drain_is_written_before_anything_can_go_wrong(self) -> None:
        assert drained().file_systems.notes == {REPORT: "so far"}

    @pytest.mark.parametrize(
        ("report", "files", "missing"),
        [
            ("", FakeFileSystems(), "the daemon's journal has no report"),
            ("so far", FakeFileSystems(no_note="Read-only file system"), "Read-only file system"),
        ],
        ids=["not known", "not writable"],
    )
    def test_without_it_everything_else_is_done(
        self, report: str, files: FakeFileSystems, missing: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        services = FakeServices(DRAIN, report=report, file_systems=files)
        assert run(services, "--unit", "fluent-bit") == 0
        assert services.agents.told == [("stop", "fluent-bit")]
        assert f"missing: {missing}" in capsys.readouterr().out


class TestByHand:
    def test_without_a_drain_it_tells_the_agents_and_syncs_once(self) -> None:
        services = FakeServices()
        assert run(services, "--unit", "fluent-bit") == 0
        assert services.agents.told == [("stop", "fluent-bit")]
        assert services.file_systems.handed_over == []
        assert (services.file_systems.syncs, services.clock.slept) == (1, [])

    def test_in_a_rehearsal_nothing_goes_on_afterwards_and_nothing_is_frozen(self) -> None:
        services = FakeServices({**DRAIN, "SPOTWATCH_REHEARSAL": "1"})
        assert run(services, "--unit", "fluent-bit") == 0
        assert services.agents.told == [("stop", "fluent-bit")]
        assert services.file_systems.handed_over == []
        assert services.file_systems.notes == {}
        assert (services.file_systems.syncs, services.clock.slept) == (1, [])

    def test_a_dry_run_only_says_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = FakeServices(DRAIN)
        assert run(services, "--unit", "fluent-bit", "--http", "http://127.0.0.1/flush", dry_run=True) == 0
        assert services.agents.told == []
        assert services.file_systems == FakeFileSystems(spared=["/srv/state"])
        assert capsys.readouterr().out.splitlines() == [
            "would tell unit fluent-bit, for at most 10 s",
            "would tell GET http://127.0.0.1/flush, for at most 10 s",
            "would sync /var/log/app every second until the end",
            "would freeze it 2 s before the deadline",
        ]

    def test_a_dry_run_fails_where_there_is_nothing_to_sync(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = FakeServices(DRAIN)
        services.file_systems.no_sync = "/var/log/app cannot be synced: No such file or directory"
        assert run(services, dry_run=True) == 1
        assert capsys.readouterr().out == "/var/log/app cannot be synced: No such file or directory\n"


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ((), "the following arguments are required: --mount-point"),
        (("--mount-point", "/a", "--unit", "--force"), "expected one argument"),
        (("--mount-point", "/a", "--unit", "a b"), "is no name of a unit"),
        (("--mount-point", "/a", "--signal", "FLUSH:td.service"), "write SIGNAL:UNIT or SIGNAL:/path/of/a.pid"),
        (("--mount-point", "/a", "--signal", "USR1"), "write SIGNAL:UNIT or SIGNAL:/path/of/a.pid"),
        (("--mount-point", "/a", "--signal", "USR1:"), "is no name of a unit"),
        (("--mount-point", "/a", "--http", "file:///etc/passwd"), "write a URL that begins with http://"),
        (("--mount-point", "/a", "--http", "localhost:9000"), "write a URL that begins with http://"),
        (("--mount-point", "/a", "--limit", "0s"), "write a time longer than zero"),
        (("--mount-point", "/a", "--freeze", "5"), "is not a duration"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_done(
    words: tuple[str, ...], mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    flush_logs.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert mistake in capsys.readouterr().err
