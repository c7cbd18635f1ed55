"""A rehearsal with a daemon that follows a script: what is played, when it is over, and how it went."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from spotwatch.simulate import rehearsal
from spotwatch.simulate.rehearsal import Course, Line, Rehearsal
from spotwatch.simulate.scenario import scenario
from spotwatch.simulate.service import MetadataService

INTERVALS = {"terminate": 0.0, "stop": 0.0, "rebalance": 0.0, "maintenance": 0.0, "lifecycle": None}

STARTED = {"event": "daemon-started", "hooks": 1}


class ScriptedDaemon:
    """Says what its script says, each at its time after the start, and is gone when it is told to be.

    Args:
        script: seconds and records (or lines that are none); None ends it.
        exit_code: with which it ends.
        last_words: what it says when it is told to leave.
    """

    def __init__(
        self, *script: tuple[float, Any], exit_code: int = 0, last_words: tuple[dict[str, Any], ...] = ()
    ) -> None:
        self.ended = False
        self.stopped: list[str] = []
        self._script = list(script)
        self._began = time.monotonic()
        self._exit_code = exit_code
        self._last_words = last_words

    def read_lines(self, until: float) -> list[str]:
        said: list[str] = []
        while self._script and self._script[0][0] + self._began <= max(time.monotonic(), until) and not said:
            at, record = self._script.pop(0)
            time.sleep(max(0.0, at + self._began - time.monotonic()))
            if record is None:
                self.ended = True
                return said
            said.append(record if isinstance(record, str) else json.dumps(record))
        if not said:
            time.sleep(max(0.0, until - time.monotonic()))
        return said

    def stop(self, hear: Callable[[Sequence[str]], None], *, hurry: bool) -> int:
        self.stopped.append("in a hurry" if hurry else "at leisure")
        self.ended = True
        for record in self._last_words:
            time.sleep(0.1)
            hear([json.dumps(record)])
        return self._exit_code


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the real thing is a tenth here."""
    for name, seconds in {
        "START_SECONDS": 0.5,
        "CALM_SECONDS": 0.05,
        "SETTLE_SECONDS": 0.3,
        "PATIENCE_SECONDS": 0.2,
        "LOOK_SECONDS": 0.01,
    }.items():
        monkeypatch.setattr(rehearsal, name, seconds)


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService(imdsv1=True) as service:
        yield service


@pytest.fixture
def lines() -> list[Line]:
    return []


@pytest.fixture
def play(service: MetadataService, lines: list[Line]) -> Callable[..., Course]:
    def play(daemon: ScriptedDaemon, *steps: str) -> Course:
        return Rehearsal(scenario(steps), service, daemon, lines.append, INTERVALS).play()

    return play


Play = Callable[..., Course]


def began(event: str = "terminate", seconds_left: float = 5.0) -> dict[str, Any]:
    return {"event": "drain-began", "event_kind": event, "seconds_left": seconds_left}


def ended(event: str = "terminate") -> dict[str, Any]:
    return {"event": "drain-ended", "event_kind": event, "verdict": "drained", "seconds_to_spare": 1.0}


def test_a_rehearsal_is_over_soon_after_everything_announced_was_drained(play: Play) -> None:
    daemon = ScriptedDaemon((0.0, STARTED), (0.1, began()), (0.2, ended()))
    start = time.monotonic()
    assert play(daemon, "50ms terminate 5s") == Course(started=True, ended_early=False, exit_code=0)
    assert 0.2 < time.monotonic() - start < 3.0
    assert daemon.stopped == ["at leisure"]


def test_what_happens_is_told_in_order_by_the_scenario_and_by_the_daemon(play: Play, lines: list[Line]) -> None:
    play(
        ScriptedDaemon((0.0, STARTED), (0.1, began()), (0.15, ended()), last_words=({"event": "daemon-stopped"},)),
        "50ms terminate 5s",
    )
    assert [(line.who, line.name) for line in lines] == [
        ("daemon", "daemon-started"),
        ("AWS", "interruption notice: terminate, 5 s to go"),
        ("daemon", "drain-began"),
        ("daemon", "drain-ended"),
        ("daemon", "daemon-stopped"),
    ]
    assert [round(line.at, 1) for line in lines[:2]] == [0.0, pytest.approx(0.1, abs=0.06)]


def test_what_the_daemon_says_while_it_is_stopped_has_its_own_time(play: Play, lines: list[Line]) -> None:
    play(ScriptedDaemon((0.0, STARTED), last_words=({"event": "a"}, {"event": "b"})))
    first, second = lines[-2:]
    assert 0.05 < second.at - first.at < 1.0


def test_an_event_that_is_only_recorded_is_told_with_the_one_that_the_drain_is_for(
    play: Play, lines: list[Line]
) -> None:
    recorded = {"event": "event-recorded", "event_kind": "rebalance"}
    play(ScriptedDaemon((0.0, STARTED), (0.05, began()), (0.07, ended()), (0.1, recorded)), "0s terminate 5s")
    assert lines[-1].values == {"event_kind": "rebalance", "drain_for": "terminate"}


def test_the_steps_happen_on_the_service(play: Play, service: MetadataService) -> None:
    play(ScriptedDaemon((0.0, STARTED), (0.1, began("stop")), (0.15, ended("stop"))), "20ms stop 5s")
    notice = httpx.get(f"{service.url}/latest/meta-data/spot/instance-action", trust_env=False)
    assert notice.json()["action"] == "stop"


def test_a_line_that_is_no_record_is_told_as_an_error(play: Play, lines: list[Line]) -> None:
    play(ScriptedDaemon((0.0, "Traceback ..."), (0.0, "[1]"), (0.01, None), exit_code=1))
    assert [(line.name, line.level, line.values) for line in lines] == [
        ("Traceback ...", "error", {}),
        ("[1]", "error", {}),
    ]


class TestWhatGoesWrong:
    def test_a_daemon_that_ends_before_it_is_up(self, play: Play, lines: list[Line]) -> None:
        course = play(ScriptedDaemon((0.05, None), exit_code=78), "0s terminate 5s")
        assert course == Course(started=False, ended_early=True, exit_code=78)
        assert lines == []

    def test_a_daemon_that_never_comes_up_is_waited_for_and_stopped(self, play: Play) -> None:
        daemon = ScriptedDaemon(exit_code=-15)
        assert play(daemon, "0s terminate 5s") == Course(started=False, ended_early=False, exit_code=-15)
        assert daemon.stopped == ["at leisure"]

    def test_a_daemon_that_dies_in_the_middle_of_its_drain(self, play: Play) -> None:
        daemon = ScriptedDaemon((0.0, STARTED), (0.1, began()), (0.15, None), exit_code=-9)
        assert play(daemon, "50ms terminate 5s", "9s withdraw terminate") == Course(
            started=True, ended_early=True, exit_code=-9, draining="terminate"
        )

    def test_an_announcement_that_nobody_notices(self, play: Play) -> None:
        start = time.monotonic()
        course = play(ScriptedDaemon((0.0, STARTED)), "0s terminate 5s", "0s lifecycle Terminated")
        assert course.unnoticed == ("terminate", "lifecycle")
        assert 0.3 < time.monotonic() - start < 3.0

    def test_a_drain_that_does_not_end_in_time(self, play: Play) -> None:
        start = time.monotonic()
        daemon = ScriptedDaemon((0.0, STARTED), (0.05, began(seconds_left=0.1)))
        assert play(daemon, "0s terminate 5s").draining == "terminate"
        assert daemon.stopped == ["in a hurry"]
        assert 0.3 < time.monotonic() - start < 3.0

    def test_an_interruption_stops_the_daemon_too(self, service: MetadataService) -> None:
        def interrupt(_line: Line) -> None:
            raise KeyboardInterrupt

        daemon = ScriptedDaemon((0.0, STARTED))
        with pytest.raises(KeyboardInterrupt):
            Rehearsal(scenario([]), service, daemon, interrupt, INTERVALS).play()
        assert daemon.stopped == ["at leisure"]


class TestWhatCountsAsNoticed:
    @pytest.mark.parametrize(
        ("step", "record"),
        [
            ("terminate 5s", {"event": "drain-upgraded", "event_kind": "terminate", "seconds_left": 0.0}),
            ("terminate 5s", {"event": "drain-moved", "event_kind": "terminate", "seconds_left": 0.0}),
            ("rebalance", {"event": "event-recorded", "event_kind": "rebalance"}),
            ("maintenance system-reboot 5m", {"event": "maintenance-scheduled", "message": "..."}),
        ],
    )
    def test_every_record_that_tells_of_it(self, play: Play, step: str, record: dict[str, Any]) -> None:
        course = play(ScriptedDaemon((0.0, STARTED), (0.1, record)), f"0s {step}")
        assert course.unnoticed == ()

    def test_the_same_notice_again_calls_for_nothing(self, play: Play) -> None:
        daemon = ScriptedDaemon((0.0, STARTED), (0.05, began()), (0.07, ended()))
        assert play(daemon, "0s terminate 5s", "100ms terminate 5s").unnoticed == ()

    def test_a_notice_after_a_withdrawal_is_a_new_one(self, play: Play) -> None:
        daemon = ScriptedDaemon((0.0, STARTED), (0.05, began()), (0.07, ended()))
        course = play(daemon, "0s terminate 5s", "100ms withdraw terminate", "200ms terminate 5s")
        assert course.unnoticed == ("terminate",)
        assert course.withdrawn == {"terminate"}

    def test_what_was_withdrawn_before_it_was_noticed_is_not_waited_for(self, play: Play) -> None:
        assert play(ScriptedDaemon((0.0, STARTED)), "0s terminate 5s", "50ms withdraw terminate").unnoticed == ()


def test_an_event_is_waited_for_as_long_as_the_daemon_looks_for_it_twice(
    service: MetadataService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "SETTLE_SECONDS", 0.0)
    daemon = ScriptedDaemon((0.0, STARTED), (0.5, began("rebalance")), (0.55, ended("rebalance")))
    intervals = {**INTERVALS, "rebalance": 0.3}
    course = Rehearsal(scenario(["0s rebalance"]), service, daemon, lambda _line: None, intervals).play()
    assert course.unnoticed == ()


def test_after_a_step_that_announces_nothing_the_daemon_gets_time_to_answer(play: Play, lines: list[Line]) -> None:
    play(ScriptedDaemon((0.0, STARTED), (0.25, {"event": "metadata-recovered"})), "0s trouble slow 50ms")
    assert lines[-1].name == "metadata-recovered"
