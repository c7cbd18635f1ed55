"""The drain there is, if there is one: begun, resumed, written down, put aside.

There is one drain at a time. It stays the current one after its last hook has ended, so that a stronger event
upgrades it and a restarted daemon does not begin it anew; it is put aside when what it was for was withdrawn, or when
it belongs to another boot or another instance.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from spotwatch.core.event import Event, EventKind
from spotwatch.core.process import ChildEnded
from spotwatch.core.report import DrainReport, InstanceFacts
from spotwatch.core.settings import Settings, StateSettings
from spotwatch.daemon.log_records import log_progress, log_report
from spotwatch.daemon.services import JournalFile, Machine, OpenDrain, Records
from spotwatch.drain.execution import Execution, Progress
from spotwatch.drain.journal import Entry, Opening, decode_happening, decode_opening, encode_report
from spotwatch.drain.orders import Happening
from spotwatch.drain.report import Notes
from spotwatch.log import Log


class Drains:
    """Keeps the current drain.

    Args:
        machine: clocks and children.
        records: where outputs and reports go.
        journal: where every step goes.
        environment: what every hook's environment begins with.
        log: where it says what happens.

    Attributes:
        current: the drain there is.
        last_report: of the drain that ended last.
    """

    def __init__(
        self,
        machine: Machine,
        records: Records,
        journal: JournalFile,
        state: StateSettings,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self.current: Execution | None = None
        self.last_report: DrainReport | None = None
        self.instance = InstanceFacts()
        self.clock_skew: float | None = None
        self._machine = machine
        self._records = records
        self._journal = journal
        self._state = state
        self._environment = environment
        self._told_end: tuple[str, str | None] = ("", None)
        self._log = log

    @property
    def busy(self) -> bool:
        """Whether a drain is going on."""
        return self.current is not None and not self.current.finished

    def next_id(self, kind: EventKind) -> str:
        """The id of a drain that begins now."""
        now = self._machine.instant().utc
        return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{kind}"

    def begin(self, event: Event, settings: Settings, *, name: str = "", by_hand: bool = False) -> None:
        """Begin a drain, under an id that was given out before or a new one."""
        now, name = self._machine.instant(), name or self.next_id(event.kind)
        boot, hooks = self._machine.boot_id, settings.hooks
        opening = Opening(name, boot, now, self.instance, event, hooks, settings.drain, by_hand)
        self.current = self._execution(opening)
        self._follow(self.current.begin(now))

    def resume(self, known: InstanceFacts) -> None:
        """Go on with the drain that an earlier life of the daemon left, if it is of this boot and this instance.

        What runs of other drains is ended.
        """
        for left in self._journal.unfinished():
            try:
                opening = decode_opening(left.opening)
                entries = [Entry(at, decode_happening(text)) for at, text in left.steps]
                reason = self._why_foreign(opening, known)
                if not reason:
                    self._go_on(opening, entries)
            except (KeyError, TypeError, ValueError) as error:
                self.current, reason = None, f"its journal cannot be read: {error!r}"
            if reason:
                self._put_aside(left, reason)
        self._end_strays()

    def take(self, happening: Happening) -> None:
        """Feed the current drain, if there is one."""
        if self.current is not None:
            self._follow(self.current.take(happening, self._machine.instant()))

    def take_event(self, event: Event) -> None:
        """An event came while there is a drain."""
        if self.current is not None:
            self._follow(self.current.take_event(event, self._machine.instant()))

    def take_end(self, child: ChildEnded) -> None:
        """A child has ended."""
        if self.current is not None:
            self._follow(self.current.take_end(child, self._machine.instant()))

    def put_aside(self, note: str) -> None:
        """The current drain will not go on: what comes next is a drain of its own."""
        if self.current is not None:
            self._journal.close_drain(self.current.notes.drain, note)
            self._log.info("drain-closed", drain=self.current.notes.drain, reason=note)
            self.current = None
            self._prune()

    def _end_strays(self) -> None:
        """End the hooks that the journal knows nothing of, before a new drain runs them a second time beside these."""
        if count := self._machine.end_strays(self._state.directory):
            self._log.warning("strays-ended", processes=count, reason="the journal does not know them")

    def _execution(self, opening: Opening) -> Execution:
        return Execution(
            opening,
            self._state,
            self._machine,
            self._journal,
            Notes(opening.drain, opening.began, opening.instance),
            output_directory=self._records.output_directory(opening.drain),
            environment=self._environment,
        )

    def _go_on(self, opening: Opening, entries: Sequence[Entry]) -> None:
        self._log.warning("drain-resumed", drain=opening.drain, steps=len(entries))
        self.current = execution = self._execution(opening)
        self._follow(execution.resume(entries, self._machine.instant()))
        if self.current is execution and execution.finished:
            self._end_again(execution)

    def _end_again(self, execution: Execution) -> None:
        """An earlier life saw the last hook end; what it had still to do may not have been done."""
        kept = self._kept_report(execution.notes.drain)
        now = execution.report()
        if kept is None or (kept.ended_at, kept.events) != (now.ended_at, now.events):
            self._end(execution)
        else:
            self.last_report = kept
            self._close_if_armed(execution)

    def _kept_report(self, drain: str) -> DrainReport | None:
        try:
            return DrainReport.from_json(json.loads(self._journal.report(drain) or "null"))
        except ValueError:
            return None

    def _why_foreign(self, opening: Opening, known: InstanceFacts) -> str:
        """Why a drain is not ours to go on with: its clock has stopped, or it came with the image."""
        if opening.boot != self._machine.boot_id:
            return "the instance has booted since"
        if opening.instance.id and known.id and opening.instance.id != known.id:
            return f"it belongs to another instance, {opening.instance.id}"
        return ""

    def _put_aside(self, left: OpenDrain, note: str) -> None:
        self._journal.close_drain(left.id, note)
        self._log.warning("drain-closed", drain=left.id, reason=note)

    def _follow(self, progress: Sequence[Progress]) -> None:
        execution = self.current
        if execution is None:
            return
        for step in progress:
            log_progress(self._log, step, lambda hook: self._machine.output_tail(execution.child(hook)))
        if progress and execution.finished:
            self._end(execution)

    def _end(self, execution: Execution) -> None:
        self._keep_report(execution)
        self._close_if_armed(execution)

    def _close_if_armed(self, execution: Execution) -> None:
        if execution.event.kind is EventKind.START:
            self.put_aside("armed")

    def _keep_report(self, execution: Execution) -> None:
        execution.notes.clock_skew = self.clock_skew
        if self.instance.id:
            execution.notes.instance = self.instance
        problem = self._records.keep_report(execution.report(), keep=self._state.keep_drains)
        if problem:
            self._log.error("report-not-kept", problem=problem)
            execution.notes.not_recorded.append(f"report: {problem}")
        report = self.last_report = execution.report()
        self._journal.keep_report(report.drain, encode_report(report))
        if self._told_end != (report.drain, report.ended_at):
            self._told_end = (report.drain, report.ended_at)
            log_report(self._log, report)
        if problem:
            self._log.error("report", report=report.to_json())

    def _prune(self) -> None:
        oldest = self._machine.instant().utc - timedelta(seconds=self._state.keep_for)
        self._journal.prune(
            keep=self._state.keep_drains,
            not_before=f"{oldest:%Y%m%dT%H%M%S}",
            at_most_bytes=self._state.journal_limit,
        )
