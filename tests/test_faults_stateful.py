"""Random faults for a bounded time: one drain after another where everything goes wrong, in virtual time.

Real are the machine, the execution, the keeper of the current drain and the journal's file. Events come and are
withdrawn, hooks end, fail, hang and ignore SIGTERM, the daemon dies between any two deeds and is started again, with
its hooks alive or dead, the clock is set by hours, the instance is hibernated.

    FAULTS_EXAMPLES=10000 pytest tests/test_faults_stateful.py -s
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, HookStatus
from spotwatch.core.process import ChildEnded
from spotwatch.core.report import HookReport
from spotwatch.core.settings import DrainSettings, Settings, StateSettings
from spotwatch.daemon.drains import Drains
from spotwatch.drain.orders import EventWithdrawn, StopAsked, TimePassed
from tests.drain.driver import make_event
from tests.drain.lives import Crash, MortalJournal, MortalMachine
from tests.drain.scenarios import HOOKS, KINDS, LEFT, seconds
from tests.test_daemon_loop import MemoryRecords

MANY_ROUNDS = 1000
"""More than the hooks of a scenario can need at one moment."""

EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "50"))
MANY_EXAMPLES = 4 * EXAMPLES

HOURS = st.sampled_from([-30.0, -3.0, -0.5, 0.5, 3.0, 30.0]).map(lambda hours: hours * 3600)

IN_MEMORY = next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None)
"""A disk that is none: here it is not the disk that is to be tested, and it costs most of the time."""

TICK = 0.125
"""Seconds between two events: a drain has the name of its millisecond."""

COUNTS: Counter[str] = Counter()


@st.composite
def behaviors(draw: st.DrawFn) -> dict[str, Any]:
    """How a hook behaves, in the words of `tests.manual_machine.Script`."""
    return {
        "ends_after": draw(st.none() | seconds(0, 40)),
        "exit_code": draw(st.sampled_from([0, 0, 0, 1])),
        "ignores_term": draw(st.booleans()),
        "ends_after_term": draw(seconds(0, 3)),
        "cannot_start": draw(st.sampled_from(["", "", "", "", "no such file"])),
    }


def silent() -> Any:
    """A log that nobody reads."""

    def drop(_logger: object, _level: str, _record: object) -> Any:
        raise structlog.DropEvent

    return structlog.wrap_logger(
        structlog.PrintLogger(), processors=[drop], wrapper_class=structlog.make_filtering_bound_logger(0)
    )


class Faults(RuleBasedStateMachine):
    """One instance, from its start to the end of the example."""

    def __init__(self) -> None:
        super().__init__()
        COUNTS["examples"] += 1
        self.directory = TemporaryDirectory(dir=IN_MEMORY)
        self.machine = MortalMachine()
        self.machine.on_start = self.check_start
        self.journal = MortalJournal(self.directory.name, self.machine.fuse)
        self.hooks: dict[str, Hook] = {}
        self.settings = Settings()
        self.crashes: Counter[str] = Counter()
        self.starts: Counter[tuple[str, bool]] = Counter()
        self.made_way: Counter[str] = Counter()
        self.told: dict[str, EventKind] = {}
        self.hooks_die = False
        self.downtime = 0.0
        self.durable: dict[str, HookReport] = {}
        self.durable_told: dict[str, EventKind | None] = {}
        self.durable_drain: tuple[str, Event, float] | None = None
        self.drains = self.daemon()

    def teardown(self) -> None:
        self.machine.fuse.put_out()
        self.journal.close()
        self.directory.cleanup()

    # The instance and its daemons

    @initialize(
        drawn=st.lists(st.tuples(HOOKS, st.booleans(), behaviors()), min_size=1, max_size=6),
        margin=st.sampled_from([0.0, 3.0]),
        left=LEFT,
        lit=st.none() | st.tuples(st.integers(1, 9), st.booleans()),
    )
    def furnish(
        self,
        drawn: list[tuple[Hook, bool, dict[str, Any]]],
        margin: float,
        left: float,
        lit: tuple[int, bool] | None,
    ) -> None:
        """Settle the hooks, and how they behave; the first event comes, and perhaps the daemon dies over it."""
        if lit is not None:
            self.machine.fuse.light(lit[0], after=lit[1])
        for number, (hook, rerun, behavior) in enumerate(drawn):
            name = f"hook-{number}"
            self.hooks[name] = replace(hook, name=name, rerun=rerun)
            self.machine.script(name, **behavior)
        self.settings = Settings(hooks=tuple(self.hooks.values()), drain=DrainSettings(margin=margin))
        self.event(kind=min(self.hooks["hook-0"].on), left=left)

    def daemon(self) -> Drains:
        """What of a daemon has to do with drains."""
        return Drains(self.machine, MemoryRecords(), self.journal, StateSettings(), {"PATH": "/bin"}, silent())

    @contextmanager
    def alive(self) -> Iterator[None]:
        """What the daemon does; if it dies over it, the next one takes over."""
        try:
            yield
            self.settle()
        except Crash:
            self.take_over()
        self.remember()

    def take_over(self) -> None:
        """A daemon is dead, and the next one starts; it may die at once, too."""
        while True:
            COUNTS["crashes"] += 1
            self.crashes.update({drain.id for drain in self.journal.unfinished()})
            self.machine.bury(with_hooks=self.hooks_die, downtime=self.downtime)
            self.drains = self.daemon()
            try:
                self.drains.resume(self.drains.instance)
                self.outcomes_are_still_there()
                self.settle()
            except Crash:
                continue
            return

    def settle(self) -> None:
        """Let everything happen that happens now, as the loop does."""
        for _ in range(MANY_ROUNDS):
            if not self.look(self.now):
                return
        raise AssertionError("the loop spins: it is told that something is due, and nothing comes of it")

    def look(self, until: float) -> bool:
        """One round of the loop; whether anything happened."""
        happened = self.machine.wait(until)
        for one in happened:
            assert isinstance(one, ChildEnded)
            self.drains.take_end(one)
        current = self.drains.current
        due = current is not None and current.wakeup is not None and current.wakeup <= self.now
        if due:
            self.drains.take(TimePassed())
        if current is not None and current.finished and current.withdrawn:
            self.drains.put_aside("it was withdrawn")
        return bool(happened) or due

    def remember(self) -> None:
        """Note what no crash may take back any more."""
        current = self.drains.current
        self.durable = {} if current is None else {hook.name: hook for hook in current.report().hooks}
        self.durable_told = {} if current is None else {name: self.told.get(current.child(name)) for name in self.hooks}
        self.durable_drain = None if current is None else (current.notes.drain, current.event, current.deadline)

    @property
    def now(self) -> float:
        return self.machine.instant().boot

    # What happens

    @rule(kind=KINDS, left=LEFT)
    def event(self, kind: EventKind, left: float) -> None:
        """Something is announced."""
        COUNTS["events"] += 1
        with self.alive():
            self.look(self.now + TICK)
            event = make_event(kind, left, at=self.now)
            current = self.drains.current
            if current is None:
                self.drains.begin(event, self.settings)
            else:
                if current.event.kind is EventKind.START and kind is not EventKind.START:
                    self.made_way[current.notes.drain] += 1
                self.drains.take_event(event)

    @precondition(lambda self: self.drains.current is not None)
    @rule()
    def withdrawal(self) -> None:
        """What was announced is no longer."""
        with self.alive():
            if self.drains.current is not None:
                self.drains.current.withdrawn = True
                self.drains.take(EventWithdrawn(self.drains.current.event.kind))

    @precondition(lambda self: self.drains.busy)
    @rule()
    def stop(self) -> None:
        """The second SIGTERM."""
        with self.alive():
            self.drains.take(StopAsked())

    @rule(span=seconds(0, 40) | seconds(0, 2))
    def time(self, span: float) -> None:
        """Time passes, and the daemon is on time."""
        until = self.now + span
        while self.now < until:
            with self.alive():
                current = self.drains.current
                wakeup = current.wakeup if current is not None else None
                self.look(until if wakeup is None else max(self.now, min(until, wakeup)))

    @rule(hours=HOURS)
    def clock(self, hours: float) -> None:
        """Somebody sets the system's clock."""
        self.machine.set_clock(hours)

    @rule(span=st.sampled_from([1.0, 30.0, 3600.0, 30 * 3600.0]))
    def hibernation(self, span: float) -> None:
        """The instance is away for a while."""
        COUNTS["hibernations"] += 1
        with self.alive():
            self.machine.hibernate(span)

    @rule(hooks_die=st.booleans(), downtime=st.just(0.0) | seconds(0, 20))
    def crash(self, hooks_die: bool, downtime: float) -> None:
        """The daemon dies between two rounds of its loop."""
        self.machine.fuse.put_out()
        self.hooks_die, self.downtime = hooks_die, downtime
        with self.alive():
            raise Crash

    @rule(length=st.integers(1, 9), after=st.booleans(), hooks_die=st.booleans(), downtime=st.just(0.0) | seconds(0, 9))
    def crash_soon(self, length: int, after: bool, hooks_die: bool, downtime: float) -> None:
        """The daemon is going to die at one of its next deeds: a write to the journal, or an order to a hook."""
        self.hooks_die, self.downtime = hooks_die, downtime
        self.machine.fuse.light(length, after=after)

    # What holds

    def check_start(self, process: str) -> None:
        """Hold every start to the promises, right before the hook is executed."""
        drain, _, name = process.partition("/")
        hook, current = self.hooks[name], self.drains.current
        COUNTS["starts"] += 1
        assert current is not None
        assert current.notes.drain == drain
        assert self.now < current.deadline, f"{name} is started after the deadline"
        assert process not in self.machine.alive, f"{name} runs twice at once"
        # What it does for start is one thing, and may have been cut off for a stronger event; all else is another.
        is_armed = current.event.kind is EventKind.START
        before = self.starts[process, is_armed] - (self.made_way[drain] if is_armed else 0)
        assert before <= 0 or hook.rerun, f"{name} has rerun = false and is started again"
        assert before <= self.crashes[drain], f"{name} is started again without a crash"
        self.starts[process, is_armed] += 1
        self.told[process] = current.event.kind
        over = {outcome.name for outcome in current.report().hooks}
        assert name not in over, f"{name} is over and is started again"
        for other in self.hooks.values():
            if other.stage < hook.stage and current.event.kind in other.on and not other.background:
                assert other.name in over, f"{name} does not wait for {other.name}"

    def outcomes_are_still_there(self) -> None:
        """Right after a resume: what was over is over, in the same way, for the same event, with the same deadline."""
        current = self.drains.current
        if current is None or self.durable_drain is None or current.notes.drain != self.durable_drain[0]:
            return
        outcomes = {hook.name: hook for hook in current.report().hooks}
        for name, outcome in self.durable.items():
            if self.is_to_run_again(name, outcome):
                continue
            if outcome.started_at is not None or outcome.status == HookStatus.LOST:
                assert outcomes[name] == outcome
            else:
                assert name in outcomes or current.event != self.durable_drain[1]

    def is_to_run_again(self, name: str, outcome: HookReport) -> bool:
        """Whether the event that stands asks for more than what the hook was told when it ran, or was cut off."""
        assert self.drains.current is not None
        event = self.drains.current.event.kind
        only_armed = self.durable_told[name] is EventKind.START and event is not EventKind.START
        return event in self.hooks[name].on and (only_armed or outcome.status == HookStatus.SUPERSEDED)

    @invariant()
    def a_drain_is_over_by_its_deadline(self) -> None:
        current = self.drains.current
        if current is not None and not current.finished:
            assert self.now < current.deadline

    @invariant()
    def a_drain_that_is_over_has_run_its_hooks_for_its_event(self) -> None:
        """What is said to have run has run for it, and not only for start."""
        current = self.drains.current
        if current is not None and current.finished and current.event.kind is not EventKind.START:
            for outcome in current.report().hooks:
                if outcome.status in {HookStatus.SUCCEEDED, HookStatus.ENDED, HookStatus.SUPERSEDED}:
                    for_it = current.event.kind in self.hooks[outcome.name].on
                    assert not for_it or self.told[current.child(outcome.name)] is not EventKind.START

    @invariant()
    def every_process_is_one_that_the_drain_knows(self) -> None:
        current = self.drains.current
        if current is not None:
            ours = {name for name in self.machine.alive if name.startswith(f"{current.notes.drain}/")}
            assert ours <= {current.child(name) for name in current.running}

    @invariant()
    def there_is_at_most_one_drain(self) -> None:
        unfinished = [drain.id for drain in self.journal.unfinished()]
        current = self.drains.current
        assert unfinished == ([] if current is None else [current.notes.drain])


FEW = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    report_multiple_bugs=False,
    database=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestFaults(Faults.TestCase):  # type: ignore[misc, valid-type]
    """The promises hold after every step, and at every start of a hook."""

    settings = FEW

    @classmethod
    def tearDownClass(cls) -> None:
        print(", ".join(f"{count} {what}" for what, count in COUNTS.items()))


@pytest.mark.slow
class TestMoreFaults(Faults.TestCase):  # type: ignore[misc, valid-type]
    """The same, with four times as many examples."""

    settings = settings(FEW, max_examples=MANY_EXAMPLES)
