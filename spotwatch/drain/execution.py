"""One drain being carried out: the machine's orders become child processes, and what they do is fed back to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.event import Event
from spotwatch.core.hook import Hook, HookOutcome
from spotwatch.core.instant import Instant, format_utc
from spotwatch.core.process import ChildEnded, Command
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.drain.journal import Entry, Journal, Opening, encode_happening, encode_opening, encode_orders
from spotwatch.drain.machine import Drain, Effect
from spotwatch.drain.orders import (
    EventCame,
    Happening,
    HookEnded,
    HookLost,
    HookNotStarted,
    KillHook,
    Order,
    StartHook,
    TerminateHook,
    TimePassed,
)
from spotwatch.drain.report import Notes, report


class Runner(Protocol):
    """Somebody who can run child processes."""

    def start(self, name: str, command: Command, *, output_limit: int) -> int:
        """Execute the command in a process group of its own and answer its process id.

        Raises:
            CommandNotStarted: and nothing runs.
        """
        ...

    def terminate(self, name: str) -> None:
        """Send SIGTERM to the child's process group; nothing if it has ended."""
        ...

    def kill(self, name: str) -> None:
        """Send SIGKILL to everything that the child has started; nothing if all has ended."""
        ...

    def adopt(self, name: str, environment: Mapping[str, str], output: str, *, output_limit: int) -> bool:
        """Take over a child that an earlier life of the daemon started with this environment, if it still runs.

        If it does not, what it may have left behind is killed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Started:
    """A hook was executed."""

    hook: str
    pid: int
    order: StartHook


@dataclass(frozen=True, slots=True)
class Signaled:
    """A hook got SIGTERM or SIGKILL, because its time was up or it is no longer wanted."""

    hook: str
    signal: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A hook is over, or will not be run."""

    outcome: HookOutcome


@dataclass(frozen=True, slots=True)
class EventTaken:
    """What an event did to the drain."""

    event: Event
    effect: Effect


Progress = Started | Signaled | Settled | EventTaken


class Execution:
    """A drain and everything around it that touches the machine.

    Args:
        opening: what it began with; hooks and settings stay the same for the whole drain.
        state: where its outputs go.
        runner: starts and ends the hooks.
        notes: what the report will say besides.
        journal: where every step is written before it is carried out.
        output_directory: where each hook's output file goes.
        environment: what every hook's environment begins with.

    Attributes:
        withdrawn: whether nobody announces its event, or no more: once it is over, the daemon arms again.
    """

    def __init__(
        self,
        opening: Opening,
        state: StateSettings,
        runner: Runner,
        journal: Journal,
        notes: Notes,
        *,
        output_directory: str,
        environment: Mapping[str, str],
    ) -> None:
        self.notes = notes
        self.withdrawn = opening.by_hand
        self._opening = opening
        self._drain = Drain(opening.event, opening.hooks, opening.settings)
        self._state = state
        self._runner = runner
        self._journal = journal
        self._output_directory = output_directory
        self._environment = environment
        self._told_events = 0
        self._told_outcomes: dict[str, HookOutcome] = {}

    @property
    def event(self) -> Event:
        """The strongest event so far."""
        return self._drain.event

    @property
    def deadline(self) -> float:
        """When the instance has to be ready (boot clock, seconds)."""
        return self._drain.deadline

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do; a stronger event may still begin more."""
        return self._drain.finished_at is not None

    @property
    def wakeup(self) -> float | None:
        """When `take` wants to be told that time has passed (boot clock, seconds)."""
        return self._drain.wakeup()

    @property
    def running(self) -> list[str]:
        """The names of the hooks that have a process."""
        return self._drain.running

    def child(self, hook: str) -> str:
        """The name of a hook's process; with the drain's, since a hook of an earlier drain may not have died yet."""
        return f"{self.notes.drain}/{hook}"

    def report(self) -> DrainReport:
        """The report as things stand."""
        return report(self._drain, self.notes)

    def begin(self, now: Instant) -> list[Progress]:
        """Start what can be started; answers what was done, for the log."""
        self._note(self._journal.open_drain(self._opening.drain, self._opening.boot, encode_opening(self._opening)))
        return self.take(TimePassed(), now)

    def resume(self, entries: Sequence[Entry], now: Instant) -> list[Progress]:
        """Go on where an earlier life of the daemon stopped; answers what was done, for the log.

        The machine is fed what it was fed then. A hook whose process still lives is adopted, one whose process is gone
        is lost, and what had been ordered to end is ordered to end again: the order may not have been carried out.
        """
        for entry in entries:
            self._repeat(entry)
        list(self._news())
        self.withdrawn = self._opening.by_hand and self._drain.event == self._opening.event
        lost = [name for name in (*self._drain.running, *self._drain.unseen) if not self._adopt(name)]
        for order in self._drain.standing_orders():
            self._carry_out(order, now)
        progress = [step for name in lost for step in self.take(HookLost(name), now)]
        return progress + self.take(TimePassed(), now)

    def take(self, happening: Happening, now: Instant) -> list[Progress]:
        """Feed the machine and carry out its orders; answers what was done, for the log."""
        return list(self._take(happening, now))

    def take_event(self, event: Event, now: Instant) -> list[Progress]:
        """An event came while the drain is there."""
        progress = self.take(EventCame(event), now)
        if self._drain.history[-1][1] is not Effect.RECORDED or event.kind is self._drain.event.kind:
            self.withdrawn = False
        return progress

    def take_end(self, child: ChildEnded, now: Instant) -> list[Progress]:
        """A child has ended; nothing if it is one of an earlier drain."""
        drain, _, hook = child.name.partition("/")
        if drain != self.notes.drain:
            return []
        ended = HookEnded(hook, child.exit_code, child.signal, child.output_dropped, child.output_problem)
        self._note_output(ended)
        return self.take(ended, now)

    def _repeat(self, entry: Entry) -> None:
        """Bring machine and notes to where they were after this step."""
        if isinstance(entry.happening, HookEnded):
            self._note_output(entry.happening)
        elif isinstance(entry.happening, HookNotStarted):
            self.notes.outputs.pop(entry.happening.hook, None)
        for order in self._drain.step(entry.happening, entry.at):
            if isinstance(order, StartHook):
                self.notes.outputs[order.hook.name] = self._output(order.hook)

    def _take(self, happening: Happening, now: Instant) -> Iterator[Progress]:
        pending: list[Happening] = [happening]
        while pending:
            happening = pending.pop(0)
            orders = self._drain.step(happening, now.boot)
            self._write(happening, now.boot, orders)
            yield from self._news()
            for order in orders:
                problem, progress = self._carry_out(order, now)
                if problem is not None:
                    pending.append(problem)
                if progress is not None:
                    yield progress

    def _write(self, happening: Happening, at: float, orders: Sequence[Order]) -> None:
        """Write the step, unless only time has passed and nothing came of it."""
        if orders or not isinstance(happening, TimePassed) or self.finished or self._has_news():
            drain = self._opening.drain
            self._note(self._journal.add_step(drain, at, encode_happening(happening), encode_orders(orders)))

    def _note_output(self, ended: HookEnded) -> None:
        if ended.output_dropped:
            self.notes.dropped[ended.hook] = ended.output_dropped
        if ended.output_problem:
            self.notes.outputs.pop(ended.hook, None)
            self.notes.not_recorded.append(f"output of {ended.hook}: {ended.output_problem}")

    def _note(self, problem: str) -> None:
        if problem and (note := f"journal: {problem}") not in self.notes.not_recorded:
            self.notes.not_recorded.append(note)

    def _has_news(self) -> bool:
        return any(self._told_outcomes.get(outcome.hook) != outcome for outcome in self._drain.outcomes)

    def _adopt(self, name: str) -> bool:
        hook = self._drain.hook(name)
        marks = {
            "SPOTWATCH_STATE_DIRECTORY": self._state.directory,
            "SPOTWATCH_DRAIN_ID": self._opening.drain,
            "SPOTWATCH_HOOK": name,
        }
        limit = self._state.output_limit
        return self._runner.adopt(self.child(name), marks, self._output(hook), output_limit=limit)

    def _output(self, hook: Hook) -> str:
        return f"{self._output_directory}/{hook.name}.log"

    def _news(self) -> Iterator[Progress]:
        """Events and outcomes that were not told yet."""
        for event, effect in self._drain.history[self._told_events :]:
            yield EventTaken(event, effect)
        self._told_events = len(self._drain.history)
        for outcome in self._drain.outcomes:
            # A hook that was given up may get its turn after all when the drain is upgraded.
            if self._told_outcomes.get(outcome.hook) != outcome:
                self._told_outcomes[outcome.hook] = outcome
                yield Settled(outcome)

    def _carry_out(self, order: Order, now: Instant) -> tuple[HookNotStarted | None, Progress | None]:
        match order:
            case StartHook():
                return self._start(order, now)
            case TerminateHook(name):
                self._runner.terminate(self.child(name))
                return None, Signaled(name, "SIGTERM")
            case KillHook(name):
                self._runner.kill(self.child(name))
                return None, Signaled(name, "SIGKILL")

    def _start(self, order: StartHook, now: Instant) -> tuple[HookNotStarted | None, Progress | None]:
        name, limit = order.hook.name, self._state.output_limit
        try:
            pid = self._runner.start(self.child(name), self._command(order, now), output_limit=limit)
        except CommandNotStarted as error:
            self.notes.outputs.pop(name, None)
            return HookNotStarted(name, f"{error.message}; {error.hint}" if error.hint else error.message), None
        return None, Started(name, pid, order)

    def _command(self, order: StartHook, now: Instant) -> Command:
        hook = order.hook
        output = self._output(hook)
        self.notes.outputs[hook.name] = output
        return Command(
            argv=hook.command,
            environment={**self._environment, **hook.environment, **self._words(order, now)},
            output=output,
            directory=hook.directory,
            user=hook.user,
            group=hook.group,
        )

    def _words(self, order: StartHook, now: Instant) -> dict[str, str]:
        """The documented environment of a hook (spotwatch/manual/settings.md, "What a hook is told")."""
        event, instance = self._drain.event, self.notes.instance
        return {
            "SPOTWATCH_EVENT": event.kind.value,
            "SPOTWATCH_ACTION": event.action,
            "SPOTWATCH_NOTICE_TIME": format_utc(event.notice_time) if event.notice_time else "",
            "SPOTWATCH_DEADLINE": format_utc(now.utc_of(self._drain.deadline)),
            "SPOTWATCH_SECONDS_LEFT": f"{max(0.0, self._drain.deadline - now.boot):.1f}",
            "SPOTWATCH_TIMEOUT": f"{order.allowed:.1f}",
            "SPOTWATCH_INSTANCE_ID": instance.id,
            "SPOTWATCH_INSTANCE_TYPE": instance.type,
            "SPOTWATCH_AVAILABILITY_ZONE": instance.availability_zone,
            "SPOTWATCH_REGION": instance.region,
            "SPOTWATCH_DRAIN_ID": self.notes.drain,
            "SPOTWATCH_STAGE": str(order.hook.stage),
            "SPOTWATCH_HOOK": order.hook.name,
            "SPOTWATCH_STATE_DIRECTORY": self._state.directory,
        }
