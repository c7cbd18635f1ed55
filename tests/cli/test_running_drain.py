"""What a hook can learn of the drain that it is a part of, from the journal of a daemon that is alive."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.cli.running_drain import companions_of, so_far
from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook
from spotwatch.core.instant import Instant, parse_utc
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.journal import Opening, encode_happening, encode_opening
from spotwatch.drain.orders import EventCame, Happening, HookEnded, TimePassed
from spotwatch.host.journal import Journal
from spotwatch.host.journal_file import Access

ID = "2026-01-01T00-00-00Z-lifecycle"
NOW = parse_utc("2026-01-01T00:00:00Z")


def event(kind: EventKind) -> Event:
    return Event(kind, kind.value, None, 100.0, 700.0)


def hook(name: str, *words: str, stage: int = 10, on: EventKind = EventKind.LIFECYCLE, timeout: float = 60) -> Hook:
    return Hook(name, frozenset({on}), words or (name,), stage=stage, timeout=timeout)


HEART = hook("heart", "spotwatch", "hook", "leave-auto-scaling", "--heartbeat")
HOOKS = (
    HEART,
    hook("heart-of-another", "spotwatch", "hook", "leave-auto-scaling", "--heartbeat"),
    hook("jobs"),
    replace(hook("notify"), background=True),
    hook("quick"),
    hook("later", stage=20),
    hook("other-event", on=EventKind.MAINTENANCE),
)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A state directory whose journal has a drain that began at 100 s."""
    assert NOW is not None
    with closing(Journal(str(tmp_path))) as journal:
        facts, began = InstanceFacts("i-0"), Instant(100.0, NOW)
        opening = Opening(ID, "boot", began, facts, event(EventKind.LIFECYCLE), HOOKS, DrainSettings())
        assert journal.open_drain(ID, "boot", encode_opening(opening)) == ""
    happened(str(tmp_path), 100.0, TimePassed())
    return str(tmp_path)


def happened(directory: str, at: float, happening: Happening) -> None:
    with closing(Journal(directory)) as journal:
        assert journal.add_step(ID, at, encode_happening(happening), "[]") == ""


def companions(directory: str, name: str = "heart", *, now: float = 110.0, drain: str = ID) -> list[str] | None:
    with closing(Journal(directory, Access.READ)) as journal:
        return companions_of(journal, drain, name, now)


def test_those_beside_it_are_the_hooks_of_its_stage_that_do_not_wait_for_others(directory: str) -> None:
    assert companions(directory) == ["jobs", "quick"]


def test_a_hook_that_has_ended_is_beside_nobody(directory: str) -> None:
    happened(directory, 105.0, HookEnded("quick", 1, None))
    assert companions(directory) == ["jobs"]
    happened(directory, 106.0, HookEnded("jobs", 0, None))
    assert companions(directory) == []


def test_a_hook_of_a_later_stage_has_its_own_stage(directory: str) -> None:
    assert companions(directory, "later") == []


def test_after_an_upgrade_the_stronger_event_s_hooks_count(directory: str) -> None:
    happened(directory, 105.0, EventCame(event(EventKind.TERMINATE)))
    assert companions(directory) is None


@pytest.mark.parametrize(("name", "drain"), [("nobody", ID), ("heart", "another-drain")])
def test_of_what_the_journal_does_not_know_nothing_is_known(directory: str, name: str, drain: str) -> None:
    assert companions(directory, name, drain=drain) is None


def seen(directory: str, name: str = "jobs", *, now: float = 110.0, drain: str = ID) -> DrainSoFar | None:
    with closing(Journal(directory, Access.READ)) as journal:
        return so_far(journal, drain, name, now)


def test_the_drain_so_far_names_what_is_awaited_and_what_came_of_the_rest(directory: str) -> None:
    happened(directory, 105.0, HookEnded("quick", 1, None))
    view = seen(directory)
    assert view is not None
    assert view.awaited == ("heart", "heart-of-another", "jobs", "later")
    assert [(hook.name, hook.status) for hook in view.report.hooks] == [("quick", "failed")]
    assert (view.verdict, view.deadline, view.is_for_hook, view.in_background) == ("failed", 700.0, True, False)
    assert view.ends_at == 160.0, "its own timeout, from its start"


def test_after_an_upgrade_the_stronger_event_s_deadline_counts(directory: str) -> None:
    happened(directory, 105.0, EventCame(event(EventKind.TERMINATE)))
    view = seen(directory)
    assert view is not None
    assert (view.report.event, view.is_for_hook, view.awaited) == ("terminate", False, ())


@pytest.mark.parametrize(("name", "drain"), [("nobody", ID), ("jobs", "another-drain")])
def test_what_the_journal_does_not_know_is_not_seen(directory: str, name: str, drain: str) -> None:
    assert seen(directory, name, drain=drain) is None


def test_one_that_has_not_begun_has_no_end(directory: str) -> None:
    view = seen(directory, "later")
    assert view is not None
    assert view.ends_at is None


def test_the_background_is_beside_nobody_and_awaited_by_nobody(directory: str) -> None:
    view = seen(directory, "notify")
    assert view is not None
    assert view.in_background
    assert "notify" not in view.awaited
    assert "notify" not in (companions(directory) or [])


def test_without_a_journal_nothing_is_known(tmp_path: Path) -> None:
    assert companions(str(tmp_path)) is None
