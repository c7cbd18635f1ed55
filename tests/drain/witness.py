"""Watches a drain from outside and holds it to its promises after every step.

The witness keeps its own books, from the events that went in and the orders that came out; of the machine it reads
only what everyone may read (`outcomes`, `wakeup`, `finished_at`, `history`). What it says of limits and reserves is
reckoned anew from the settings, in the words of the machine's docstring.
"""

from dataclasses import replace
from math import inf

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import FAILURES, Hook, HookOutcome, HookStatus, OnFailure
from spotwatch.drain.machine import Drain, Effect
from spotwatch.drain.orders import (
    EventCame,
    EventWithdrawn,
    HookEnded,
    HookNotStarted,
    KillHook,
    StartHook,
    StopAsked,
    TerminateHook,
)
from tests.drain.driver import Step
from tests.drain.scenarios import Scenario

REAP_SECONDS = 0.5
MARGIN_SHARE = 0.1
ROUNDING = 1e-6

NEVER_BEGAN = {HookStatus.GIVEN_UP, HookStatus.SKIPPED, HookStatus.SUPERSEDED, HookStatus.CANCELED}


class Witness:
    """Sees every step of one drain.

    Attributes:
        punctual: whether the drain is stepped at its wakeups, so that limits and reserves can be kept at all.
    """

    def __init__(self, scenario: Scenario, drain: Drain) -> None:
        self.drain = drain
        self.settings = scenario.settings
        self.hooks = {hook.name: hook for hook in scenario.hooks}
        self.punctual = not scenario.lateness
        self.event = scenario.event
        self.deadline = scenario.event.deadline
        self.kinds = {scenario.event.kind}
        self.effects = [Effect.BEGAN]
        self.withdrawn = False
        self.stopped = False
        self.started: dict[str, float] = {}
        self.termed: dict[str, float] = {}
        self.killed: dict[str, float] = {}
        self.told: dict[str, EventKind] = {}
        self.gone: set[str] = set()
        self.opposed: set[str] = set()
        self.cut_off: set[str] = set()
        self.renewed: set[str] = set()
        self.promised: dict[str, float] = {}
        self.outcomes: dict[str, HookOutcome] = {}
        self.news: list[HookOutcome] = []
        self._deal_out(scenario.event.seen_at)

    def check(self, step: Step) -> None:
        """Take a step into the books, then hold it to every promise."""
        before = dict(self.outcomes)
        self.renewed = set()
        self._note(step)
        self._orders_make_sense(step)
        self._stages_are_kept_apart(step)
        self._what_is_done_stays_done(before)
        self._effects_are_as_told()
        self._nothing_starts_beside_its_opposite(step)
        self._nothing_starts_after_stop(step)
        self._outcomes_tell_the_truth(step)
        self._finished_means_finished(step)
        self._the_loop_does_not_spin(step)
        self._nobody_waits_without_need(step)
        self._withdrawn_and_ruled_out_hooks_are_settled()
        if self.punctual:
            self._patience_has_its_ends(step)
            self._limits_are_kept(step)
            self._reserves_are_kept(step)

    # The books

    def _note(self, step: Step) -> None:
        match step.happening:
            case EventCame(event):
                self._note_event(event, step.now)
            case EventWithdrawn(kind) if kind is self.event.kind and not kind.is_interruption:
                self.withdrawn = True
            case StopAsked():
                self.stopped = True
            case HookEnded(name, _, _) | HookNotStarted(name, _) if name in self.started and name not in self.gone:
                self._note_end(name, step)
        self.news = [outcome for outcome in self.drain.outcomes if self._is_news(outcome)]
        self.outcomes = {outcome.hook: outcome for outcome in self.drain.outcomes}

    def _note_event(self, event: Event, now: float) -> None:
        stronger = self.withdrawn or event.kind.strength > self.event.kind.strength
        closer = event.kind is self.event.kind and event.deadline < self.deadline
        if self.stopped or not (stronger or closer):
            self.effects.append(Effect.RECORDED)
            return
        self.effects.append(Effect.UPGRADED if stronger else Effect.MOVED)
        if stronger:
            if event.kind is not EventKind.START:
                opposed = {name for name in self._alive() if self.told[name] is EventKind.START}
                self.cut_off |= opposed - self.termed.keys()
                self.opposed |= opposed
            self.event, self.withdrawn = event, False
            self.kinds.add(event.kind)
            for name in self.gone & self.outcomes.keys():
                self._renew(name)
        self.deadline = event.deadline
        self._deal_out(now)

    def _note_end(self, name: str, step: Step) -> None:
        """A hook is gone for certain; only now may it be started for what its run was not for."""
        if isinstance(step.happening, HookNotStarted):
            if name in self.outcomes:
                return  # too late: it counts as started
            self.cut_off.discard(name)
        self.gone.add(name)
        self._renew(name)
        if name in self.renewed:
            self._deal_out(step.now)

    def _renew(self, name: str) -> None:
        """Forget the run of a hook that is gone, if the event asks for another: this, and nothing else, is one more."""
        if self.event.kind in self.hooks[name].on and self._ran_for_nothing(name):
            self.renewed.add(name)
            for book in (self.started, self.termed, self.killed, self.told, self.outcomes):
                book.pop(name, None)
            for names in (self.gone, self.opposed, self.cut_off):
                names.discard(name)

    def _ran_for_nothing(self, name: str) -> bool:
        """What it did for ``start`` is nothing to a stronger event, and what was cut off to make way nothing at all."""
        only_armed = self.told[name] is EventKind.START and self.event.kind is not EventKind.START
        return only_armed or name in self.cut_off

    def _is_news(self, outcome: HookOutcome) -> bool:
        """Whether it was not there before; that one may be alive is no news when it turns out to fail an event."""
        before = self.outcomes.get(outcome.hook)
        return before != outcome and not (before and self._fails(before, outcome))

    def _fails(self, before: HookOutcome, outcome: HookOutcome) -> bool:
        """Whether a hook whose end nobody has seen is now called killed, since it cannot be run for the event."""
        name, reason = outcome.hook, f"its end was not seen after SIGKILL, so it was not run for {self.event.kind}"
        may_be_alive = name in self.killed and name not in self.gone and self._ran_for_nothing(name)
        return may_be_alive and outcome == replace(before, status=HookStatus.KILLED, reason=reason)

    def _deal_out(self, now: float) -> None:
        """Note the reserves that the time left can hold; the rest cannot be promised."""
        waiting = [h for h in self.hooks.values() if h.name not in self.started and self.event.kind in h.on]
        left = self.deadline - self._margin() - now
        self.promised = {
            hook.name: hook.reserve
            for hook in waiting
            if hook.reserve and left >= self._needed([h for h in waiting if h.stage >= hook.stage])
        }

    def _alive(self) -> set[str]:
        return {name for name in self.started if name not in self.outcomes}

    def _members(self) -> list[Hook]:
        return [hook for hook in self.hooks.values() if hook.on & self.kinds]

    def _in_force(self) -> list[Hook]:
        return [hook for hook in self.hooks.values() if self.event.kind in hook.on]

    def _pending(self) -> list[Hook]:
        return [h for h in self._members() if h.name not in self.started and h.name not in self.outcomes]

    def _margin(self) -> float:
        return min(self.settings.margin, MARGIN_SHARE * max(0.0, self.deadline - self.event.seen_at))

    def _needed(self, hooks: list[Hook]) -> float:
        """What the stages have reserved one after the other, each with the background that begins with it beside it."""
        stages = sorted({hook.stage for hook in hooks})
        return max(
            (
                self._of_stages([h for h in hooks if h.stage < first and not h.background])
                + max(
                    self._of_stages([h for h in hooks if h.stage >= first and not h.background]),
                    *(self._of_stages([h]) for h in hooks if h.stage == first and h.background),
                    0.0,
                )
                for first in stages
            ),
            default=0.0,
        )

    def _of_stages(self, hooks: list[Hook]) -> float:
        stages: dict[int, float] = {}
        for hook in hooks:
            if hook.reserve:
                stages[hook.stage] = max(hook.reserve, stages.get(hook.stage, 0.0))
        return sum(longest + self.settings.kill_grace + REAP_SECONDS for longest in stages.values())

    def _limit(self, hook: Hook) -> float:
        kept_from = [h for h in self._pending() if h.stage > hook.stage and not hook.background]
        later = self._pending() if hook.name in self.opposed else kept_from
        return self.deadline - self._margin() - self._needed(later)

    # The promises

    def _orders_make_sense(self, step: Step) -> None:
        """No run of a hook is started, sent SIGTERM or sent SIGKILL twice, nor out of this order."""
        for order in step.orders:
            match order:
                case StartHook(hook, allowed):
                    assert hook.name not in self.started, f"{hook.name} is started twice"
                    assert hook in self._members()
                    assert allowed >= 0
                    self.started[hook.name], self.told[hook.name] = step.now, self.event.kind
                case TerminateHook(name):
                    assert name in self.started
                    assert name not in self.termed
                    self.termed[name] = step.now
                case KillHook(name):
                    assert name in self.termed
                    assert name not in self.killed
                    self.killed[name] = step.now
        ending_first = [isinstance(order, StartHook) for order in step.orders]
        assert ending_first == sorted(ending_first), "hooks are ended before others are started"

    def _stages_are_kept_apart(self, step: Step) -> None:
        for hook in self._starts(step):
            lower = [other.name for other in self._in_force() if other.stage < hook.stage and not other.background]
            assert set(lower) <= self.outcomes.keys(), f"{hook.name} did not wait for {lower}"

    def _what_is_done_stays_done(self, before: dict[str, HookOutcome]) -> None:
        """An outcome changes only if the hook never began and a stronger event gives it another chance.

        Or if there is one more run to come, since the last was for ``start``, or cannot be as that one does not die.
        """
        for name, outcome in before.items():
            now = self.outcomes.get(name)
            if now != outcome and name not in self.renewed and not (now and self._fails(outcome, now)):
                assert outcome.status in NEVER_BEGAN
                assert outcome.started_at is None
                assert self.effects[-1] is Effect.UPGRADED
        for name, outcome in self.outcomes.items():
            superseded_by_itself = outcome.status is HookStatus.SUPERSEDED and self.event.kind in self.hooks[name].on
            assert not superseded_by_itself, f"{name} is for {self.event.kind} and is called superseded"

    def _effects_are_as_told(self) -> None:
        assert [effect for _, effect in self.drain.history] == self.effects
        assert (self.drain.event, self.drain.deadline) == (self.event, self.deadline)

    def _nothing_starts_beside_its_opposite(self, step: Step) -> None:
        assert not (self._starts(step) and self.opposed & self._alive())

    def _nothing_starts_after_stop(self, step: Step) -> None:
        if self.stopped:
            assert not self._starts(step)
            assert self._alive() <= self.termed.keys()

    def _outcomes_tell_the_truth(self, step: Step) -> None:
        for outcome in self.news:
            name = outcome.hook
            assert outcome.ended_at == step.now
            if outcome.status is HookStatus.NOT_STARTED or name not in self.started:
                assert outcome.started_at is None
            else:
                assert outcome.started_at == self.started[name]
            assert (outcome.status is HookStatus.TIMED_OUT) <= (name in self.termed)
            assert (outcome.status is HookStatus.KILLED) <= (name in self.killed)
            assert (outcome.status in {HookStatus.SUCCEEDED, HookStatus.FAILED}) <= (name not in self.termed)
        if isinstance(step.happening, HookEnded):
            assert step.happening.hook in self.renewed or step.happening.hook not in self._alive()

    def _finished_means_finished(self, step: Step) -> None:
        over = all(hook.name in self.outcomes for hook in self._members())
        assert (self.drain.finished_at is not None) == over
        assert over or step.now < self.deadline, "the drain runs over its deadline"

    def _the_loop_does_not_spin(self, step: Step) -> None:
        if self.drain.finished_at is not None:
            assert step.wakeup is None
        else:
            assert step.wakeup is not None
            assert step.now < step.wakeup <= self.deadline

    def _nobody_waits_without_need(self, step: Step) -> None:
        """The lowest stage that is waited for has started, late starters and what an opposite holds back excepted.

        So has the background of this stage and those below.
        """
        unsettled = [hook for hook in self._in_force() if hook.name not in self.outcomes]
        reached = min((hook.stage for hook in unsettled if not hook.background), default=inf)
        for hook in unsettled:
            if hook.stage <= reached and hook.name not in self.started and not self.opposed & self._alive():
                assert hook.start_before is not None, f"{hook.name} could have started"
                assert step.now < self.deadline - hook.start_before

    def _withdrawn_and_ruled_out_hooks_are_settled(self) -> None:
        for hook in self._pending():
            assert self.event.kind in hook.on, f"{hook.name} is not for {self.event.kind}"
            assert hook.always or not self._ruling_out(hook), f"{hook.name} is pending after a stopping failure"
        if self.withdrawn or self.stopped:
            assert not self._pending()
        for outcome in self.news:
            if outcome.status is HookStatus.SKIPPED:
                assert not self.hooks[outcome.hook].always
                assert self._ruling_out(self.hooks[outcome.hook])

    def _ruling_out(self, hook: Hook) -> bool:
        return any(
            self.outcomes[other.name].status in FAILURES
            for other in self.hooks.values()
            if other.name in self.outcomes
            and other.stage < hook.stage
            and other.on_failure is OnFailure.STOP
            and self.event.kind in other.on
        )

    def _patience_has_its_ends(self, step: Step) -> None:
        """Timeouts are kept, SIGKILL follows SIGTERM within the grace, and no end is waited for long after it."""
        for name in self._alive():
            timeout = self.hooks[name].timeout
            if name in self.killed:
                assert step.now < self.killed[name] + REAP_SECONDS
            elif name in self.termed:
                assert step.now < self.termed[name] + self.settings.kill_grace
            elif timeout is not None:
                assert step.now < self.started[name] + timeout

    def _limits_are_kept(self, step: Step) -> None:
        for name in self._alive() - self.killed.keys():
            assert step.now < self._limit(self.hooks[name]), f"{name} is alive at its limit"

    def _reserves_are_kept(self, step: Step) -> None:
        for order in step.orders:
            match order:
                case StartHook(hook, allowed):
                    assert allowed >= self._promise_to(hook.name) - ROUNDING, f"{hook.name} gets less than its reserve"
                case TerminateHook(name) if not self.stopped and name not in self.opposed:
                    had = step.now - self.started[name]
                    assert had >= self._promise_to(name) - ROUNDING, f"{name} is ended within its reserve"
        for outcome in self.news:
            if outcome.status is HookStatus.GIVEN_UP:
                assert not self._promise_to(outcome.hook), f"{outcome.hook} is given up though there is time for it"

    def _promise_to(self, name: str) -> float:
        """Seconds until SIGTERM; nothing to a hook that asks for less by its own timeout or late start."""
        hook = self.hooks[name]
        asks_for_less = hook.start_before is not None or (hook.timeout is not None and hook.timeout < hook.reserve)
        return 0.0 if asks_for_less else self.promised.get(name, 0.0)

    def _starts(self, step: Step) -> list[Hook]:
        return [order.hook for order in step.orders if isinstance(order, StartHook)]
