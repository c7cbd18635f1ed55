"""What a daemon that starts again makes of the drain that it finds: the loop and the journal's file in virtual time.

Each life but the last ends by a crash, at a moment or at a deed; the next one has the same machine, the same metadata
service and the same journal. Whether the hooks outlive the crash is said by the test.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from spotwatch.core.hook import Hook
from spotwatch.host.journal import Journal, PastDrain
from tests.drain.lives import Crash, MortalJournal, MortalMachine
from tests.test_daemon_loop import T0, Life, MemoryJournal, ScriptedMetadata, hook


class Lives:
    """An instance, and the daemons that live on it one after another; times are seconds after the first one's start."""

    def __init__(self, directory: Path) -> None:
        self.machine = MortalMachine()
        self.metadata = ScriptedMetadata()
        self.journal = MortalJournal(str(directory), self.machine.fuse)
        self.last = Life()

    def life(self, *hooks: Hook) -> Life:
        """The next daemon, before its start."""
        life = self.last = Life(*hooks, machine=self.machine, journal=cast("MemoryJournal", self.journal))
        life.metadata = self.metadata
        return life

    def live(self, *hooks: Hook, until: float) -> None:
        """A daemon from its start to its SIGTERM; a drain that runs then is finished first."""
        self.life(*hooks).live(until)

    def crash(self, *hooks: Hook, at: float, with_hooks: bool = False, downtime: float = 0.0) -> None:
        """A daemon that dies at a moment."""
        self.machine.crash_at(T0 + at)
        self._die(*hooks, with_hooks=with_hooks, downtime=downtime)

    def crash_at_deed(self, *hooks: Hook, number: int, after: bool) -> None:
        """A daemon that dies at one of its deeds; its hooks live on."""
        self.machine.fuse.light(number, after=after)
        self._die(*hooks, with_hooks=False, downtime=0.0)

    def _die(self, *hooks: Hook, with_hooks: bool, downtime: float) -> None:
        life = self.life(*hooks)
        with pytest.raises(Crash):
            life.live(10_000)
        self.machine.forget_signals()
        self.machine.bury(with_hooks=with_hooks, downtime=downtime)

    def announce(self, at: float, action: str = "terminate", left: float = 120.0) -> None:
        """Let a notice be there at a moment."""
        life = self.life()
        life.announce(at, action, left)

    def withdraw(self, at: float) -> None:
        """Let the notice be gone at a moment."""
        self.life().withdraw(at)

    @property
    def starts(self) -> list[tuple[str, float]]:
        """Every hook that was really started, with its second."""
        return [(start.name.rpartition("/")[2], round(start.at - T0, 1)) for start in self.machine.starts]

    @property
    def statuses(self) -> dict[str, str]:
        """What became of the hooks, in the last report."""
        *_, report = self.last.reports()
        return {outcome.name: outcome.status for outcome in report.hooks}

    def past_drains(self) -> list[PastDrain]:
        return self.journal.history()


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(tmp_path)
    with closing(lives.journal):
        yield lives


def test_a_finished_hook_stays_finished_and_the_next_stage_goes_on(lives: Lives) -> None:
    hooks = hook("first", stage=1), hook("second", stage=2), hook("third", stage=3)
    lives.announce(3)
    lives.crash(*hooks, at=5.5, with_hooks=True)
    lives.live(*hooks, until=60)
    assert [name for name, _ in lives.starts] == ["first", "second", "second", "third"]
    assert lives.statuses == dict.fromkeys(("first", "second", "third"), "succeeded")


def test_a_hook_that_still_runs_is_adopted_and_waited_for(lives: Lives) -> None:
    hooks = hook("slow", stage=1), hook("next", stage=2)
    lives.machine.script("slow", ends_after=20.0)
    lives.announce(3)
    lives.crash(*hooks, at=10)
    lives.live(*hooks, until=60)
    assert lives.starts == [("slow", 4.0), ("next", 24.0)]
    assert lives.statuses == {"slow": "ended", "next": "succeeded"}


@pytest.mark.parametrize(("rerun", "starts", "status"), [(True, 2, "succeeded"), (False, 1, "lost")])
def test_a_hook_that_is_gone_is_run_again_unless_it_must_not(
    lives: Lives, rerun: bool, starts: int, status: str
) -> None:
    slow = hook("slow", rerun=rerun)
    lives.machine.script("slow", ends_after=20.0)
    lives.announce(3)
    lives.crash(slow, at=10, downtime=30)
    lives.live(slow, until=100)
    assert len(lives.starts) == starts
    assert lives.statuses == {"slow": status}


def test_the_deadline_is_the_old_one(lives: Lives) -> None:
    slow = hook("slow")
    lives.machine.script("slow", ends_after=None)
    lives.announce(3, left=60)
    lives.crash(slow, at=20, with_hooks=True, downtime=10)
    lives.live(slow, until=100)
    (report,) = lives.last.reports()
    assert report.seconds_left == 59.0
    assert report.seconds_to_spare is not None
    assert 0 <= report.seconds_to_spare < 10


def test_a_drain_whose_time_is_up_when_the_daemon_is_there_again_starts_nothing(lives: Lives) -> None:
    hooks = hook("slow", stage=1), hook("late", stage=2)
    lives.machine.script("slow", ends_after=None)
    lives.announce(3, left=60)
    lives.crash(*hooks, at=20, downtime=100)
    lives.live(*hooks, until=200)
    assert [name for name, _ in lives.starts] == ["slow"]
    assert lives.statuses["late"] == "given-up"
    assert not lives.machine.alive


@pytest.mark.parametrize("after", [False, True])
def test_what_had_been_ordered_to_end_is_ordered_to_end_again(lives: Lives, after: bool) -> None:
    """The fifth deed is the SIGTERM: the opening, the step, the start, the step with the order."""
    stubborn = hook("stubborn", timeout=10.0)
    lives.machine.script("stubborn", ends_after=None, ignores_term=True)
    lives.announce(3)
    lives.crash_at_deed(stubborn, number=5, after=after)
    assert lives.machine.alive
    lives.live(stubborn, until=60)
    ends = [order.what for order in lives.machine.orders if order.what in {"terminate", "kill"}]
    assert ends == ["terminate"] * (1 + after) + ["kill"]
    assert not lives.machine.alive
    assert lives.statuses == {"stubborn": "killed"}


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_around_a_start_loses_no_hook_and_starts_a_living_one_no_second_time(
    lives: Lives, number: int, after: bool
) -> None:
    leave = hook("leave")
    lives.announce(3)
    lives.crash_at_deed(leave, number=number, after=after)
    lives.live(leave, until=60)
    assert [name for name, _ in lives.starts] == ["leave"]
    assert lives.statuses == {"leave": "ended" if (number, after) == (3, True) else "succeeded"}


def other_boot(lives: Lives) -> None:
    lives.machine.boot = "b-boot"


def other_instance(lives: Lives) -> None:
    lives.metadata.items["instance-id"] = "i-2"


@pytest.mark.parametrize(
    ("change", "note"),
    [(other_boot, "the instance has booted since"), (other_instance, "it belongs to another instance, i-1")],
)
def test_a_drain_of_another_boot_or_instance_is_closed_with_a_note_and_never_gone_on_with(
    lives: Lives, change: Callable[[Lives], None], note: str
) -> None:
    """An image may have been made with the state directory in it."""
    hooks = hook("slow", stage=1), hook("next", stage=2), hook("join", "start")
    lives.machine.script("slow", ends_after=None)
    lives.announce(3)
    lives.crash(*hooks, at=10, with_hooks=True)
    lives.metadata.items.pop("spot/instance-action")
    change(lives)
    lives.live(*hooks, until=200)
    assert [name for name, _ in lives.starts] == ["join", "slow", "join"]
    assert [drain.note for drain in lives.past_drains()] == ["armed", note, "armed"]


def test_a_drain_that_is_over_is_not_repeated_while_the_notice_stands(lives: Lives) -> None:
    hooks = hook("leave"), hook("join", "start")
    lives.announce(3)
    for at in (20, 40):
        lives.crash(*hooks, at=at)
    lives.live(*hooks, until=60)
    assert [name for name, _ in lives.starts] == ["join", "leave"]


def test_it_arms_again_when_the_notice_is_withdrawn_after_a_restart(lives: Lives) -> None:
    hooks = hook("leave"), hook("join", "start")
    lives.announce(3)
    lives.crash(*hooks, at=20)
    lives.withdraw(30)
    lives.live(*hooks, until=60)
    assert [name for name, _ in lives.starts] == ["join", "leave", "join"]
    assert lives.journal.unfinished() == []


def test_after_a_hibernation_the_drain_is_settled_and_the_instance_is_armed_again(lives: Lives) -> None:
    hooks = hook("freeze", "hibernate"), hook("join", "start")
    lives.machine.script("freeze", ends_after=None)
    lives.announce(3, "hibernate", 10)

    def hibernate() -> None:
        lives.machine.hibernate(5 * 3600)
        lives.metadata.items.pop("spot/instance-action")

    lives.machine.at(T0 + 6, hibernate)
    lives.live(*hooks, until=5 * 3600 + 60)
    assert [name for name, _ in lives.starts] == ["join", "freeze", "join"]
    assert not lives.machine.alive
    assert lives.journal.unfinished() == []


def test_a_step_that_cannot_be_read_closes_its_drain_and_keeps_no_notice_from_being_drained(
    lives: Lives, tmp_path: Path
) -> None:
    leave = hook("leave")
    lives.announce(3)
    lives.crash(leave, at=4.5, with_hooks=True)
    with closing(Journal(str(tmp_path))) as other:
        assert other.add_step(other.unfinished()[0].id, 5.0, "{", "[]") == ""
    lives.live(leave, until=60)
    assert "its journal cannot be read" in lives.past_drains()[0].note
    assert [name for name, _ in lives.starts] == ["leave", "leave"]


def test_a_hook_that_the_journal_has_forgotten_is_ended_before_a_new_drain_runs_it(
    lives: Lives, tmp_path: Path
) -> None:
    slow = hook("slow")
    lives.machine.script("slow", ends_after=30.0)
    lives.announce(3)
    lives.crash(slow, at=10)
    (forgotten,) = lives.machine.alive
    with closing(Journal(str(tmp_path))) as other:
        assert other.add_step(other.unfinished()[0].id, T0 + 9, "{", "[]") == ""
    lives.life(slow)
    lives.machine.on_start = lambda _: check(forgotten not in lives.machine.alive)
    lives.last.live(60)
    assert [name for name, _ in lives.starts] == ["slow", "slow"]


def check(holds: bool) -> None:
    assert holds


def test_what_was_left_out_of_an_output_before_the_crash_is_in_the_report_after_it(lives: Lives) -> None:
    hooks = hook("chatty", stage=1), hook("unkept", stage=2), hook("slow", stage=3)
    lives.machine.script("chatty", output_dropped=77)
    lives.machine.script("unkept", output_problem="no room")
    lives.machine.script("slow", ends_after=20.0)
    lives.announce(3)
    lives.crash(*hooks, at=10)
    lives.live(*hooks, until=60)
    (report,) = lives.last.reports()
    assert [outcome.output_dropped_bytes for outcome in report.hooks] == [77, 0, 0]
    assert [outcome.output is None for outcome in report.hooks] == [False, True, False]
    assert report.not_recorded == ("output of unkept: no room",)
