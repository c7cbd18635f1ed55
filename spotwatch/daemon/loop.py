"""The daemon: one loop, one thread, one wait.

It waits for a child's end, a signal, the next poll and the next deadline, all at once, and does what each asks for:

    poll ── observations ──► drain ── orders ──► hooks
                               ▲                   │
                               └─── ends, time ────┘

Its life: go on with the drain that an earlier life left unfinished, or arm (the ``start`` hooks); watch, drain when
something is announced, arm again if that is withdrawn, and leave on SIGTERM. The first SIGTERM during a drain does not
stop it, because on an instance that is being reclaimed SIGTERM *is* the shutdown; the second does. Metadata trouble
never ends it.
"""

from collections.abc import Callable, Mapping
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1

from spotwatch import __version__
from spotwatch.core.errors import SettingsError
from spotwatch.core.event import Event, EventKind
from spotwatch.core.process import ChildEnded, SignalCame
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import Settings
from spotwatch.daemon.drains import Drains
from spotwatch.daemon.log_records import log_trouble
from spotwatch.daemon.services import JournalFile, Machine, Records, ServiceManager
from spotwatch.daemon.status import status_document, status_line
from spotwatch.drain.orders import EventWithdrawn, StopAsked, TimePassed
from spotwatch.log import Log
from spotwatch.watch.observations import Announced, Observation, Withdrawn
from spotwatch.watch.watcher import Watcher

ARMING_WAITS_SECONDS = 10.0
"""The ``start`` hooks wait this long for the metadata service to say which instance this is; right after a launch it
may refuse connections for a while."""

LEAST_POLL_SECONDS = 0.05
"""While a drain runs, a poll may take only the time until the drain's next step; with less than this it is put off."""

RESUMING_WAITS_SECONDS = 0.5
"""The most that a drain which was left unfinished waits for the metadata service to say which instance this is."""

STOP_ALLOWANCE_SECONDS = 10.0
"""Asked of systemd beyond the deadline of a drain that a stop has to wait for."""


class Daemon:
    """Watches one instance and drains it.

    Args:
        settings: in force until a reload.
        load: reads the settings again.
        machine: clocks, children and the wait.
        watcher: reads the metadata service.
        manager: systemd.
        records: where reports and the status go.
        journal: where every step of a drain goes before it is carried out.
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
        journal: JournalFile,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self._settings = settings
        self._load = load
        self._machine = machine
        self._watcher = watcher
        self._manager = manager
        self._records = records
        self._journal = journal
        self._drains = Drains(machine, records, journal, settings.state, environment, log)
        self._log = log
        self._arm_by: float | None = None
        self._stopping = False
        self._status_problem = ""
        self._watchdog_due = 0.0

    def run(self) -> None:
        """Live until SIGTERM; a drain that has begun is finished first."""
        self._log.info("daemon-started", version=__version__, hooks=len(self._settings.hooks))
        self._manager.ready(self._status_line())
        self._resume()
        self._live()

    def run_one_drain(self, event: EventKind, seconds: float) -> DrainReport:
        """Drain as if this had been announced with this many seconds to go, and leave with the report.

        A real notice that comes meanwhile upgrades it; a signal ends it. A drain that a dead daemon has left unfinished
        is finished instead: its hooks are not to run twice.
        """
        self._observe_all(self._watcher.learn(RESUMING_WAITS_SECONDS))
        self._drains.resume(self._watcher.instance)
        if not self._drains.busy:
            self._drains.put_aside("a drain by hand came after it")
            self._drains.begin(self._own_event(event, seconds), self._settings, by_hand=True)
        self._stopping = True
        self._live()
        report = self._drains.last_report
        assert report is not None  # noqa: S101 (for the type checker: a drain has just ended)
        self._drains.put_aside("it was done by hand")
        return report

    def _live(self) -> None:
        while not self._may_leave():
            self._poll_if_due()
            self._arm_if_due()
            self._show_status()
            self._sign_of_life()
            for happening in self._machine.wait(self._wakeup()):
                self._take(happening)
            self._let_time_pass()
        self._show_status()
        self._log.info("daemon-stopped")

    # The loop's parts

    def _resume(self) -> None:
        """Go on with what an earlier life left; else arm as soon as it is known which instance this is."""
        if self._journal.unfinished():
            self._observe_all(self._watcher.learn(RESUMING_WAITS_SECONDS))
        self._drains.resume(self._watcher.instance)
        current = self._drains.current
        if current is None:
            self._arm_by = self._machine.instant().boot + ARMING_WAITS_SECONDS
        elif not current.withdrawn:
            self._watcher.remember(current.event)

    def _wakeup(self) -> float:
        moments = [self._watcher.next_poll]
        if self._arm_by is not None:
            moments.append(self._arm_by)
        if (step := self._next_step()) is not None:
            moments.append(step)
        if self._manager.watchdog_interval is not None:
            moments.append(self._watchdog_due)
        return min(moments)

    def _next_step(self) -> float | None:
        """When the drain wants to be told that time has passed."""
        return self._drains.current.wakeup if self._drains.current is not None else None

    def _poll_if_due(self) -> None:
        now, next_step = self._machine.instant().boot, self._next_step()
        at_most = None if next_step is None else next_step - now
        if self._watcher.next_poll > now or (at_most is not None and at_most < LEAST_POLL_SECONDS):
            return
        self._observe_all(self._watcher.poll(at_most=at_most))

    def _sign_of_life(self) -> None:
        interval, now = self._manager.watchdog_interval, self._machine.instant().boot
        if interval is not None and now >= self._watchdog_due:
            self._manager.watchdog()
            self._watchdog_due = now + interval

    def _take(self, happening: ChildEnded | SignalCame) -> None:
        match happening:
            case ChildEnded():
                self._drains.take_end(happening)
            case SignalCame(number) if number == SIGHUP:
                self._reload()
            case SignalCame(number) if number == SIGUSR1:
                self._take_requests()
            case SignalCame(number) if number in {SIGTERM, SIGINT}:
                self._stop()

    def _let_time_pass(self) -> None:
        now, next_step = self._machine.instant().boot, self._next_step()
        if next_step is not None and next_step <= now:
            self._drains.take(TimePassed())
        current = self._drains.current
        if current is not None and current.finished and current.withdrawn and not self._stopping:
            self._drains.put_aside(f"the {current.event.kind} event was withdrawn")
            self._log.info("armed-again")
            self._arm_by = now

    # What the metadata service says

    def _observe_all(self, observations: list[Observation]) -> None:
        skew = self._watcher.skew
        self._drains.clock_skew = skew.estimate.total_seconds() if skew.known else None
        self._drains.instance = self._watcher.instance
        for observation in observations:
            match observation:
                case Announced(event):
                    self._announce(event)
                case Withdrawn(kind):
                    self._withdraw(kind)
                case _:
                    log_trouble(self._log, observation)

    def _announce(self, event: Event) -> None:
        if self._drains.current is None:
            self._drains.begin(event, self._settings)
        else:
            self._drains.take_event(event)

    def _withdraw(self, kind: EventKind) -> None:
        self._log.warning("event-withdrawn", event_kind=kind.value)
        current = self._drains.current
        if current is not None and _have_one_source(kind, current.event.kind):
            current.withdrawn = True
            self._drains.take(EventWithdrawn(kind))

    # Events of our own

    def _arm_if_due(self) -> None:
        """Run the ``start`` hooks, unless something was announced that they would work against."""
        if self._arm_by is None:
            return
        if not self._watcher.instance.id and self._machine.instant().boot < self._arm_by:
            return
        self._arm_by = None
        if self._drains.current is None and any(EventKind.START in hook.on for hook in self._settings.hooks):
            self._drains.begin(self._own_event(EventKind.START), self._settings)

    def _own_event(self, kind: EventKind, seconds: float | None = None) -> Event:
        """An event that no metadata announces: the daemon's own start, its SIGTERM, or a request."""
        now = self._machine.instant().boot
        return Event(kind, kind.value, None, now, now + (seconds or self._settings.drain.limit.of(kind)))

    def _take_requests(self) -> None:
        """Somebody asks for a drain by hand; it is over once its hooks are, and the daemon arms again."""
        for request in self._journal.requests.waiting():
            if self._drains.busy or self._stopping:
                self._journal.requests.take(request.number, "")
                self._log.warning("request-refused", reason="a drain is going on")
                continue
            self._drains.put_aside("a drain by hand came after it")
            self._log.warning("drain-requested", event_kind=request.event, seconds=request.seconds)
            event = self._own_event(EventKind(request.event), request.seconds)
            # Taken first: if the daemon dies in between, nobody drains twice for one request.
            name = self._drains.next_id(event.kind)
            self._journal.requests.take(request.number, name)
            self._drains.begin(event, self._settings, name=name, by_hand=True)

    # Leaving and reloading

    def _may_leave(self) -> bool:
        return self._stopping and not self._drains.busy

    def _stop(self) -> None:
        again, self._stopping = self._stopping, True
        self._manager.stopping(self._status_line())
        current = self._drains.current
        arming = current is not None and current.event.kind is EventKind.START
        if self._drains.busy and (again or arming):
            self._log.warning("drain-stopped", reason="told to stop")
            self._drains.take(StopAsked())
        elif self._settings.drain.on_shutdown and not again:
            self._announce(self._own_event(EventKind.SHUTDOWN))
        if not again and not self._may_leave() and self._drains.current is not None:
            left = self._drains.current.deadline - self._machine.instant().boot
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
        document = status_document(self._watcher, self._drains, self._machine.instant())
        problem = self._records.show_status(document)
        if problem and problem != self._status_problem:
            self._log.warning("status-not-shown", problem=problem)
        self._status_problem = problem

    def _status_line(self) -> str:
        return status_line(self._watcher, self._drains, self._machine.instant())


def _have_one_source(one: EventKind, other: EventKind) -> bool:
    """Whether two events are announced by one item: a notice may have turned from terminate into stop meanwhile."""
    return one is other or (one.is_interruption and other.is_interruption)
