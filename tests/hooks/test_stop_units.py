"""stop-units, with a systemd whose units take their time; tests/systemd has a real one."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import pytest

from spotwatch.core.errors import (
    ServiceManagerDenied,
    ServiceManagerRefused,
    ServiceManagerUnavailable,
    SpotwatchError,
    UsageError,
)
from spotwatch.core.unit import Unit
from spotwatch.hooks import built_in
from tests.cloud import ManualClock

DRAIN = {"SPOTWATCH_TIMEOUT": "120", "SPOTWATCH_SECONDS_LEFT": "122", "SPOTWATCH_EVENT": "terminate"}
OWN = "spotwatch.service"


@dataclass
class Service:
    """A unit: how long its stop takes (None: for ever), and what else there is to it.

    Attributes:
        after: the unit whose end is waited for before its stop begins.
        mortal: whether it dies of SIGKILL.
    """

    seconds: float | None = 1.0
    state: str = "active"
    load: str = "loaded"
    result: str = "success"
    triggered_by: tuple[str, ...] = ()
    after: str = ""
    mortal: bool = True
    began: float | None = None


@dataclass
class FakeSystemd:
    """Implements `spotwatch.hooks.services.Units`.

    Attributes:
        going_down_at: when a shutdown begins.
        fails: what it does next instead of answering.
        denies: the units that it does not let us stop.
    """

    clock: ManualClock
    services: dict[str, Service]
    own: str = OWN
    going_down_at: float | None = None
    fails: list[SpotwatchError] = field(default_factory=list)
    denies: Mapping[str, SpotwatchError] = field(default_factory=dict)
    stops: list[tuple[float, tuple[str, ...], bool]] = field(default_factory=list)
    kills: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def look(self, names: Sequence[str]) -> Sequence[Unit]:
        self._answer()
        return [unit for name in names for unit in self._meant(name)]

    def stop(self, names: Sequence[str], *, ignore_dependencies: bool) -> None:
        self._answer()
        self.stops.append((self.clock.now(), tuple(names), ignore_dependencies))
        for name in names:
            service = self.services[name]
            if service.after and not ignore_dependencies and self.is_going_down():
                continue  # it waits for us
            if name not in self.denies and service.began is None:
                service.began = self.clock.now()
        for error in [self.denies[name] for name in names if name in self.denies]:
            raise error

    def kill(self, names: Sequence[str]) -> None:
        self._answer()
        self.kills.append((self.clock.now(), tuple(names)))
        for name in names:
            if self.services[name].mortal:
                self.services[name].seconds, self.services[name].result = 0.0, "signal"

    def is_going_down(self) -> bool:
        self._answer()
        return self.going_down_at is not None and self.clock.now() >= self.going_down_at

    def _answer(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    def _meant(self, name: str) -> list[Unit]:
        if "*" in name:
            return [self._unit(known) for known in self.services if fnmatchcase(known, name)]
        full = name if "." in name else f"{name}.service"
        return [self._unit(full)]

    def _unit(self, name: str) -> Unit:
        service = self.services.get(name, Service(state="inactive", load="not-found"))
        over = service.began is not None and service.seconds is not None
        if over and self.clock.now() >= (service.began or 0.0) + (service.seconds or 0.0):
            service.state = "inactive" if service.result == "success" else "failed"
        elif service.began is not None:
            service.state = "deactivating"
        has_job = service.state == "deactivating"
        return Unit(name, service.load, service.state, service.result, has_job, service.triggered_by)


@dataclass
class HookServices:
    """What the hook works with."""

    units: FakeSystemd
    environment: Mapping[str, str]
    clock: ManualClock
    born: float = 0.0


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd(ManualClock(), {})


@pytest.fixture
def run(systemd: FakeSystemd, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, dry_run: bool = False, **environment: str) -> tuple[int, str]:
        hook: Any = built_in("stop-units")
        parser = ArgumentParser()
        hook.add_arguments(parser)
        services = HookServices(systemd, {**DRAIN, **environment}, systemd.clock)
        code = hook.run(parser.parse_args(words), services, dry_run=dry_run)
        return code, capsys.readouterr().out

    return run


def has(systemd: FakeSystemd, **services: Service) -> None:
    systemd.services |= {f"{name}.service": service for name, service in services.items()}


def test_units_are_stopped_one_after_the_other(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, web=Service(2.0), db=Service(1.0))
    assert run("web", "db.service") == (0, "stopped web.service (2.0 s), db.service (1.0 s)\n")
    assert [(round(at, 1), names) for at, names, _ in systemd.stops] == [
        (0.0, ("web.service",)),
        (2.0, ("db.service",)),
    ]


def test_those_with_a_comma_between_them_side_by_side(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service(2.0), b=Service(1.0), c=Service(1.0))
    assert run("a,b", "c") == (0, "stopped b.service (1.0 s), a.service (2.0 s), c.service (1.0 s)\n")
    assert systemd.clock.now() == pytest.approx(3.0)
    assert systemd.stops[0][1] == ("a.service", "b.service")


def test_a_pattern_means_all_that_match_it(systemd: FakeSystemd, run: Run) -> None:
    systemd.services |= {"worker@1.service": Service(), "worker@2.service": Service(), "web.service": Service()}
    assert run("worker@*.service")[1] == "stopped worker@1.service (1.0 s), worker@2.service (1.0 s)\n"
    assert systemd.services["web.service"].state == "active"


def test_what_does_not_run_or_is_not_there_is_fine_and_said(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service(state="inactive"), b=Service(state="failed"))
    said = "nothing to stop: a.service (inactive), b.service (failed), c.service (not known to systemd), d* (no unit)\n"
    assert run("a", "b", "c", "d*") == (0, said)
    assert systemd.stops == []


def test_run_again_it_has_nothing_to_do(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service())
    run("a")
    assert run("a") == (0, "nothing to stop: a.service (inactive)\n")


def test_half_done_and_run_again_it_waits(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service(5.0, began=-3.0))
    assert run("a") == (0, "stopped a.service (2.0 s)\n")


def test_what_would_start_it_again_is_stopped_with_it(systemd: FakeSystemd, run: Run) -> None:
    triggers = ("web.socket", "web.timer")
    systemd.services |= {name: Service(0.0) for name in triggers}
    has(systemd, web=Service(1.0, triggered_by=triggers))
    assert run("web")[1] == "stopped web.socket (0.0 s), web.timer (0.0 s), web.service (1.0 s)\n"
    assert systemd.stops[0][1] == ("web.socket", "web.timer", "web.service")


def test_a_unit_that_waits_for_its_socket_is_stopped_too(systemd: FakeSystemd, run: Run) -> None:
    systemd.services["web.socket"] = Service(0.0)
    has(systemd, web=Service(state="inactive", triggered_by=("web.socket",)))
    run("web")
    assert systemd.services["web.socket"].state == "inactive"


def test_at_its_limit_a_unit_is_killed_and_the_next_one_has_its_turn(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, stubborn=Service(None), db=Service(1.0))
    code, out = run("stubborn=20s", "db")
    assert (code, [(round(at, 1), names) for at, names in systemd.kills]) == (1, [(20.0, ("stubborn.service",))])
    assert out == (
        "stopped stubborn.service (20.2 s, failed with result signal), db.service (1.0 s)\nkilled: stubborn.service\n"
    )


def test_a_limit_for_all_gives_way_to_a_unit_s_own(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service(None), b=Service(None))
    run("a=5s,b", "--limit", "10s")
    assert [(round(at), names) for at, names in systemd.kills] == [(5, ("a.service",)), (10, ("b.service",))]


def test_or_it_is_left_alone(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, stubborn=Service(None), db=Service(1.0))
    code, out = run("stubborn=20s", "db", "--at-limit", "leave")
    assert (code, systemd.kills) == (75, [])
    assert out == "stopped db.service (1.0 s)\ncut: stubborn.service (still stopping after its limit)\n"


def test_what_survives_sigkill_holds_nothing_up(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, immortal=Service(None, mortal=False), db=Service(1.0))
    code, out = run("immortal=20s", "db")
    assert (code, len(systemd.kills)) == (75, 1)
    assert out == "stopped db.service (1.0 s)\ncut: immortal.service (has survived SIGKILL)\n"


def test_what_systemd_itself_had_to_kill_was_killed(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, stubborn=Service(10.0, result="timeout"))
    code, out = run("stubborn")
    assert (code, out.splitlines()[-1]) == (1, "killed: stubborn.service")


def test_a_unit_that_ends_with_an_exit_code_has_ended(systemd: FakeSystemd, run: Run) -> None:
    """Java programs end with 143 on SIGTERM, which systemd calls a failure."""
    has(systemd, java=Service(1.0, result="exit-code"))
    assert run("java") == (0, "stopped java.service (1.0 s, failed with result exit-code)\n")


def test_a_wait_that_the_deadline_cuts_is_an_outcome_of_its_own(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, slow=Service(300.0), db=Service(1.0))
    assert run("slow", "db") == (75, "cut: slow.service (still stopping at the deadline), db (not begun)\n")
    assert systemd.clock.now() == pytest.approx(119.0)  # a second before SIGTERM
    assert systemd.services["db.service"].began is None


def test_at_a_shutdown_nothing_that_is_ordered_before_us_is_waited_for(systemd: FakeSystemd, run: Run) -> None:
    systemd.going_down_at = 0.0
    has(systemd, app=Service(2.0, after=OWN))
    assert run("app") == (0, "stopped app.service (2.0 s)\n")
    assert systemd.stops == [(0.0, ("app.service",), True)]


def test_a_shutdown_that_comes_meanwhile_is_noticed(systemd: FakeSystemd, run: Run) -> None:
    systemd.going_down_at = 3.0
    has(systemd, app=Service(10.0), web=Service(2.0, after=OWN))
    assert run("app", "web")[0] == 0
    assert [ignoring for _, _, ignoring in systemd.stops] == [False, True, True]
    assert 3.0 <= systemd.stops[1][0] < 4.5


def test_our_own_unit_is_refused_and_the_others_are_stopped(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, spotwatch=Service(), app=Service())
    code, out = run("spotwatch", "app")
    assert code == UsageError.exit_code
    assert "missing: spotwatch.service is our own unit" in out
    assert systemd.services[OWN].state == "active"


def test_a_pattern_that_matches_our_own_unit_does_not_mean_it(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, spotwatch=Service(), spotless=Service())
    assert run("spot*") == (0, "stopped spotless.service (1.0 s)\n")
    assert systemd.services[OWN].state == "active"


def test_a_systemd_that_does_not_answer_for_a_while_is_asked_again(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service())
    systemd.fails = [ServiceManagerUnavailable("no answer") for _ in range(7)]
    assert run("a")[0] == 0


def test_one_that_does_not_answer_at_all_is_an_error_at_the_deadline(systemd: FakeSystemd, run: Run) -> None:
    has(systemd, a=Service())
    systemd.fails = [ServiceManagerUnavailable("no answer", hint="see the journal") for _ in range(10_000)]
    assert run("a") == (69, "missing: no answer; see the journal\n")
    assert 118 < systemd.clock.now() <= 119


def test_what_may_not_be_stopped_is_said_with_the_right_that_is_missing(systemd: FakeSystemd, run: Run) -> None:
    denied = ServiceManagerDenied("systemd does not let us: a.service: Access denied", hint="allow manage-units")
    systemd.denies = {"a.service": denied}
    has(systemd, a=Service(), b=Service(), c=Service())
    code, out = run("a,b", "c")
    assert code == 77
    assert out == (
        "stopped b.service (1.0 s), c.service (1.0 s)\n"
        "missing: systemd does not let us: a.service: Access denied; allow manage-units\n"
    )
    assert systemd.clock.now() == pytest.approx(2.0)


def test_where_no_systemd_is_it_is_said_once(systemd: FakeSystemd, run: Run) -> None:
    systemd.fails = [ServiceManagerRefused("systemd does not run here") for _ in range(2)]
    assert run("a", "b") == (69, "missing: systemd does not run here\n")


def test_a_dry_run_names_what_would_be_stopped_and_stops_nothing(systemd: FakeSystemd, run: Run) -> None:
    systemd.services["web.socket"] = Service()
    has(systemd, web=Service(triggered_by=("web.socket",)), db=Service(), old=Service(state="inactive"))
    code, out = run("web=20s", "db", "old", dry_run=True)
    assert (code, systemd.stops) == (0, [])
    assert out == (
        "would stop web.service (active), and web.socket with it, for at most 20 s\n"
        "would stop db.service (active)\n"
        "nothing to stop: old.service (inactive)\n"
    )


def test_a_rehearsal_does_not_even_look(systemd: FakeSystemd, run: Run) -> None:
    systemd.fails = [ServiceManagerRefused("systemd does not run here")]
    assert run("web,api", "db", SPOTWATCH_REHEARSAL="1") == (0, "would stop web and api, then db\n")


@pytest.mark.parametrize("word", ["a b", "", "a,,b", "--now", "a=", "a=0s", "a=soon", "a;b"])
def test_words_that_name_no_unit_are_refused(run: Run, word: str) -> None:
    with pytest.raises(SystemExit):
        run("--", word)
