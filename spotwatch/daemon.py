"""The daemon: one loop, one thread, one wait.

It waits for a child's end, a signal, the next poll and the next deadline, all at once, and does what each asks for:

    poll ── observations ──► drain ── orders ──► hooks
                               ▲                   │
                               └─── ends, time ────┘

Its life: arm (the ``start`` hooks), watch, drain when something is announced, arm again if that is withdrawn, and
leave on SIGTERM. The first SIGTERM during a drain does not stop it, because on an instance that is being reclaimed
SIGTERM *is* the shutdown; the second does. Metadata trouble never ends it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any, Protocol

from spotwatch import __version__
from spotwatch.core.errors import SettingsError
from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import FAILURES
from spotwatch.core.instant import Instant, format_utc
from spotwatch.core.process import ChildEnded, SignalCame
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport, Verdict
from spotwatch.core.settings import Settings
from spotwatch.drain.execution import EventTaken, Execution, Progress, Runner, Settled, Signaled, Started
from spotwatch.drain.machine import Effect
from spotwatch.drain.orders import EventWithdrawn, StopAsked, TimePassed
from spotwatch.drain.report import Notes
from spotwatch.log import Log
from spotwatch.watch.observations import Announced, Failed, Observation, Recovered, Remark, Withdrawn
from spotwatch.watch.watcher import Watcher

ARMING_WAITS_SECONDS = 10.0
"""The ``start`` hooks wait this long for the metadata service to say which instance this is; right after a launch it
may refuse connections for a while."""

LEAST_POLL_SECONDS = 0.05
"""While a drain runs, a poll may take only the time until the drain's next step; with less than this it is put off."""

STOP_ALLOWANCE_SECONDS = 10.0
"""Asked of systemd beyond the deadline of a drain that a stop has to wait for."""


class Machine(Runner, Protocol):
    """The machine as the loop needs it: clocks, children, and the one wait."""

    def instant(self) -> Instant:
        """Both clocks, now."""
        ...

    def wait(self, until: float | None) -> Sequence[ChildEnded | SignalCame]:
        """Wait until this moment of the boot clock, or until something happens, whichever is first."""
        ...

    def output_tail(self, name: str) -> str:
        """The last lines of a child's output, for the log; empty if there is none."""
        ...


class ServiceManager(Protocol):
    """systemd, as sd_notify(3) reaches it; every method does nothing where it is not there."""

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two signs of life, None if nobody watches."""
        ...

    def ready(self, status: str) -> None:
        """The daemon is up (also after a reload)."""
        ...

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        ...

    def watchdog(self) -> None:
        """A sign of life."""
        ...

    def reloading(self) -> None:
        """The settings are being read again."""
        ...

    def stopping(self, status: str) -> None:
        """The daemon is leaving."""
        ...

    def extend_timeout(self, seconds: float) -> None:
        """A stop will take this much longer."""
        ...


class Records(Protocol):
    """Where what the daemon has to say is kept. No method raises: what cannot be kept is answered as a reason."""

    def output_directory(self, drain: str) -> str:
        """The directory for the outputs of a drain, made if it can be."""
        ...

    def keep_report(self, report: DrainReport, *, keep: int) -> str:
        """Keep a report, and no more than `keep` in all; why it could not be kept, or an empty text."""
        ...

    def show_status(self, status: Mapping[str, Any]) -> str:
        """Show what the daemon sees now; why it could not be shown, or an empty text."""
        ...


class Daemon:
    """Watches one instance and drains it.

    Args:
        settings: in force until a reload.
        load: reads the settings again.
        machine: clocks, children and the wait.
        watcher: reads the metadata service.
        manager: systemd.
        records: where reports and the status go.
        environment: what every hook's environment begins with.
        log: where it says what happens.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[[], Settings],
        machine: Machine,
        watcher: Watcher,
        manager: ServiceManager,
        records: Records,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self._settings = settings
        self._load = load
        self._machine = machine
        self._watcher = watcher
        self._manager = manager
        self._records = records
        self._environment = environment
        self._log = log
        self._execution: Execution | None = None
        self._last_report: DrainReport | None = None
        self._arm_by: float | None = None
        self._stopping = False
        self._status_problem = ""
        self._watchdog_due = 0.0

    def run(self) -> None:
        """Live until SIGTERM; a drain that has begun is finished first."""
        self._log.info("daemon-started", version=__version__, hooks=len(self._settings.hooks))
        self._manager.ready(self._status_line())
        self._arm_by = self._machine.instant().boot + ARMING_WAITS_SECONDS
        while not self._may_leave():
            self._poll_if_due()
            self._arm_if_due()
            self._show_status()
            self._sign_of_life()
            for happening in self._machine.wait(self._wakeup()):
                self._take(happening)
            self._let_time_pass()
        self._log.info("daemon-stopped")

    # The loop's parts

    def _wakeup(self) -> float:
        moments = [self._watcher.next_poll]
        if self._arm_by is not None:
            moments.append(self._arm_by)
        if self._execution is not None and self._execution.wakeup is not None:
            moments.append(self._execution.wakeup)
        if self._manager.watchdog_interval is not None:
            moments.append(self._watchdog_due)
        return min(moments)

    def _poll_if_due(self) -> None:
        now = self._machine.instant().boot
        next_step = self._execution.wakeup if self._execution is not None else None
        at_most = None if next_step is None else next_step - now
        if self._watcher.next_poll > now or (at_most is not None and at_most < LEAST_POLL_SECONDS):
            return
        for observation in self._watcher.poll(at_most=at_most):
            self._observe(observation)

    def _sign_of_life(self) -> None:
        interval, now = self._manager.watchdog_interval, self._machine.instant().boot
        if interval is not None and now >= self._watchdog_due:
            self._manager.watchdog()
            self._watchdog_due = now + interval

    def _take(self, happening: ChildEnded | SignalCame) -> None:
        match happening:
            case ChildEnded():
                if self._execution is not None:
                    self._follow(self._execution.take_end(happening, self._machine.instant()))
            case SignalCame(number) if number == SIGHUP:
                self._reload()
            case SignalCame(number) if number in {SIGTERM, SIGINT}:
                self._stop()

    def _let_time_pass(self) -> None:
        execution = self._execution
        if execution is None:
            return
        now = self._machine.instant()
        if not execution.finished and execution.wakeup is not None and execution.wakeup <= now.boot:
            self._follow(execution.take(TimePassed(), now))
        if execution.finished and execution.withdrawn and not self._stopping:
            self._execution = None
            self._log.info("armed-again", reason=f"the {execution.event.kind} event was withdrawn")
            self._arm_by = now.boot

    # What the metadata service says

    def _observe(self, observation: Observation) -> None:
        match observation:
            case Announced(event):
                self._announce(event)
            case Withdrawn(kind):
                self._withdraw(kind)
            case Failed(item, error):
                problem = type(error).__name__
                self._log.warning(
                    "metadata-failure", item=item, problem=problem, message=error.message, hint=error.hint
                )
            case Recovered(seconds):
                self._log.info("metadata-recovered", seconds_without_answer=round(seconds, 1))
            case Remark(name, message, warning, values):
                (self._log.warning if warning else self._log.info)(name, message=message, **values)

    def _announce(self, event: Event) -> None:
        if self._execution is None:
            self._begin(event)
        else:
            self._follow(self._execution.take_event(event, self._machine.instant()))

    def _withdraw(self, kind: EventKind) -> None:
        self._log.warning("event-withdrawn", event_kind=kind.value)
        if self._execution is not None and self._execution.event.kind is kind:
            self._execution.withdrawn = True
            self._follow(self._execution.take(EventWithdrawn(kind), self._machine.instant()))

    # The drain

    def _arm_if_due(self) -> None:
        """Run the ``start`` hooks, unless something was announced that they would work against."""
        if self._arm_by is None:
            return
        if not self._watcher.instance.id and self._machine.instant().boot < self._arm_by:
            return
        self._arm_by = None
        if self._execution is None and any(EventKind.START in hook.on for hook in self._settings.hooks):
            self._begin(self._own_event(EventKind.START))

    def _own_event(self, kind: EventKind) -> Event:
        """An event that no metadata announces: the daemon's own start, or its SIGTERM."""
        now = self._machine.instant().boot
        return Event(kind, kind.value, None, now, now + self._settings.drain.limit.of(kind))

    def _begin(self, event: Event) -> None:
        now = self._machine.instant()
        name = f"{now.utc:%Y%m%dT%H%M%S}.{now.utc.microsecond // 1000:03d}Z-{event.kind}"
        self._execution = Execution(
            event,
            self._settings,
            self._machine,
            Notes(name, now, self._watcher.instance),
            output_directory=self._records.output_directory(name),
            environment=self._environment,
        )
        self._follow(self._execution.begin(now))

    def _follow(self, progress: Sequence[Progress]) -> None:
        """Say what the drain did, and keep its report once it has finished."""
        for step in progress:
            self._say(step)
        execution = self._execution
        if execution is None or not progress or not execution.finished:
            return
        self._keep_report(execution)
        if execution.event.kind is EventKind.START:
            self._execution = None

    def _keep_report(self, execution: Execution) -> None:
        skew = self._watcher.skew
        execution.notes.clock_skew = skew.estimate.total_seconds() if skew.known else None
        execution.notes.instance = self._watcher.instance
        problem = self._records.keep_report(execution.report(), keep=self._settings.state.keep_drains)
        if problem:
            self._log.error("report-not-kept", problem=problem)
            execution.notes.not_recorded.append(f"report: {problem}")
        report = self._last_report = execution.report()
        say = self._log.info if report.verdict == Verdict.DRAINED else self._log.warning
        say(
            "drain-ended",
            drain=report.drain,
            event_kind=report.event,
            verdict=report.verdict,
            seconds_to_spare=report.seconds_to_spare,
        )
        if problem:
            self._log.error("report", report=report.to_json())

    def _say(self, step: Progress) -> None:
        match step:
            case EventTaken(event, effect):
                self._say_event(event, effect)
            case Started(hook, pid, order):
                stage, seconds = order.hook.stage, round(order.allowed, 1)
                self._log.info("hook-started", hook=hook, stage=stage, pid=pid, allowed_seconds=seconds)
            case Signaled(hook, signal):
                self._log.warning("hook-signaled", hook=hook, signal=signal)
            case Settled():
                self._say_settled(step)

    def _say_event(self, event: Event, effect: Effect) -> None:
        say = self._log.info if event.kind is EventKind.START else self._log.warning
        say(
            "drain-" + effect.value if effect is not Effect.RECORDED else "event-recorded",
            event_kind=event.kind.value,
            action=event.action,
            notice_time=format_utc(event.notice_time) if event.notice_time else None,
            seconds_left=round(event.deadline - event.seen_at, 1),
        )

    def _say_settled(self, step: Settled) -> None:
        outcome = step.outcome
        values: dict[str, Any] = {"hook": outcome.hook, "stage": outcome.stage, "status": outcome.status.value}
        if outcome.started_at is not None and outcome.ended_at is not None:
            values["seconds"] = round(outcome.ended_at - outcome.started_at, 1)
        for key in ("exit_code", "signal", "reason"):
            if getattr(outcome, key) not in {None, ""}:
                values[key] = getattr(outcome, key)
        if outcome.status not in FAILURES:
            self._log.info("hook-ended", **values)
            return
        if self._execution is not None and outcome.started_at is not None:
            values["output"] = self._machine.output_tail(self._execution.child(outcome.hook)) or None
        self._log.warning("hook-ended", **values)

    # Leaving and reloading

    def _may_leave(self) -> bool:
        return self._stopping and (self._execution is None or self._execution.finished)

    def _stop(self) -> None:
        again, self._stopping = self._stopping, True
        self._manager.stopping(self._status_line())
        execution = self._execution
        busy = execution is not None and not execution.finished
        if execution is not None and busy and (again or execution.event.kind is EventKind.START):
            self._log.warning("drain-stopped", reason="told to stop")
            self._follow(execution.take(StopAsked(), self._machine.instant()))
        elif self._settings.drain.on_shutdown and not again:
            self._announce(self._own_event(EventKind.SHUTDOWN))
        if not self._may_leave() and self._execution is not None:
            left = self._execution.deadline - self._machine.instant().boot
            self._log.warning("stop-waits-for-drain", seconds_left=round(left, 1), hint="a second SIGTERM ends it")
            self._manager.extend_timeout(left + STOP_ALLOWANCE_SECONDS)

    def _reload(self) -> None:
        self._manager.reloading()
        try:
            settings = self._load()
        except SettingsError as error:
            for mistake in error.mistakes:
                self._log.error("settings-mistake", mistake=mistake)
            self._log.error("reload-refused", message="the settings read before stay in force")
        else:
            self._apply(settings)
        self._manager.ready(self._status_line())

    def _apply(self, settings: Settings) -> None:
        if (settings.state, settings.log) != (self._settings.state, self._settings.log):
            self._log.warning("restart-needed", message="changes of [state] and [log] take effect at a restart")
        self._settings = settings
        self._watcher.apply(settings.metadata, settings.drain.limit)
        self._log.info("settings-reloaded", hooks=len(settings.hooks))

    # What others can see

    def _show_status(self) -> None:
        self._manager.status(self._status_line())
        problem = self._records.show_status(self._status())
        if problem and problem != self._status_problem:
            self._log.warning("status-not-shown", problem=problem)
        self._status_problem = problem

    def _status_line(self) -> str:
        last = self._watcher.last_good_poll
        poll = f"last good poll {last.utc:%H:%M:%S} UTC" if last else "the metadata service has not answered yet"
        return f"{self._doing()}; {poll}"

    def _doing(self) -> str:
        execution = self._execution
        if execution is None:
            return "watching"
        if execution.finished:
            return f"drained for {execution.event.kind}"
        left = format_duration(max(0.0, execution.deadline - self._machine.instant().boot))
        running = ", ".join(execution.running) or "waiting"
        return f"draining for {execution.event.kind}, {left} left: {running}"

    def _status(self) -> dict[str, Any]:
        watcher, last = self._watcher, self._watcher.last_good_poll
        return {
            "doing": self._doing(),
            "last_good_poll": format_utc(last.utc) if last else None,
            "metadata_service": watcher.version or None,
            "announced": sorted(watcher.announced),
            "clock_skew_seconds": round(watcher.skew.estimate.total_seconds(), 3) if watcher.skew.known else None,
            "instance": asdict(watcher.instance),
            "drain": self._execution.notes.drain if self._execution else None,
            "last_report": self._last_report.drain if self._last_report else None,
            "version": __version__,
        }
