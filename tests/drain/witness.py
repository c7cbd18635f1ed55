"""Watches a drain from outside and holds it to its promises after every step.

The witness keeps its own books, from the events that went in and the orders that came out; of the machine it reads
only what everyone may read (`outcomes`, `wakeup`, `finished_at`, `history`). What it says of limits and reserves is
reckoned anew from the settings, in the words of the machine's docstring.
"""

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, HookOutcome, HookStatus
from spotwatch.drain.machine import Drain, Effect
from spotwatch.drain.orders import EventCame, HookEnded, KillHook, StartHook, StopAsked, TerminateHook
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
        self.stopped = False
        self.started: dict[str, float] = {}
        self.termed: dict[str, float] = {}
        self.killed: dict[str, float] = {}
        self.opposed: set[str] = set()
        self.promised: dict[str, float] = {}
        self.outcomes: dict[str, HookOutcome] = {}
        self._deal_out(scenario.event.seen_at)

    def check(self, step: Step) -> None:
        """Take a step into the books, then hold it to every promise."""
        before = dict(self.outcomes)
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
        if self.punctual:
            self._limits_are_kept(step)
            self._reserves_are_kept(step)

    # The books

    def _note(self, step: Step) -> None:
        match step.happening:
            case EventCame(event):
                self._note_event(event, step.now)
            case StopAsked():
                self.stopped = True
        self.outcomes = {outcome.hook: outcome for outcome in self.drain.outcomes}

    def _note_event(self, event: Event, now: float) -> None:
        stronger = event.kind.strength > self.event.kind.strength
        closer = event.kind is self.event.kind and event.deadline < self.deadline
        self.effects.append(
            Effect.RECORDED
            if self.stopped or not (stronger or closer)
            else Effect.UPGRADED
            if stronger
            else Effect.MOVED
        )
        if self.effects[-1] is Effect.UPGRADED:
            if self.event.kind is EventKind.START:
                self.opposed = {name for name in self._alive() if event.kind not in self.hooks[name].on}
            self.event = event
            self.kinds.add(event.kind)
        if self.effects[-1] is not Effect.RECORDED:
            self.deadline = event.deadline
            self._deal_out(now)

    def _deal_out(self, now: float) -> None:
        """Note the reserves that the time left can hold; the rest cannot be promised."""
        self.promised = {}
        for hook in self.hooks.values():
            dealt = hook.name not in self.started and self.event.kind in hook.on
            own = {other.name: other for other in self.hooks.values() if other.name not in self.started}
            needed = sum(self._reserves([h for h in own.values() if self.event.kind in h.on and h.stage >= hook.stage]))
            if dealt and hook.reserve and now + needed <= self.deadline - self._margin():
                self.promised[hook.name] = hook.reserve

    def _alive(self) -> set[str]:
        return {name for name in self.started if name not in self.outcomes}

    def _members(self) -> list[Hook]:
        return [hook for hook in self.hooks.values() if hook.on & self.kinds]

    def _margin(self) -> float:
        return min(self.settings.margin, MARGIN_SHARE * max(0.0, self.deadline - self.event.seen_at))

    def _reserves(self, hooks: list[Hook]) -> list[float]:
        stages: dict[int, float] = {}
        for hook in hooks:
            if hook.reserve:
                stages[hook.stage] = max(hook.reserve, stages.get(hook.stage, 0.0))
        return [longest + self.settings.kill_grace + REAP_SECONDS for longest in stages.values()]

    def _limit(self, hook: Hook) -> float:
        pending = [h for h in self._members() if h.name not in self.started and h.name not in self.outcomes]
        later = [h for h in pending if h.stage > hook.stage or hook.name in self.opposed]
        return self.deadline - self._margin() - sum(self._reserves(later))

    # The promises

    def _orders_make_sense(self, step: Step) -> None:
        """No hook is started, sent SIGTERM or sent SIGKILL twice, nor out of this order."""
        for order in step.orders:
            match order:
                case StartHook(hook, allowed):
                    assert hook.name not in self.started, f"{hook.name} is started twice"
                    assert hook in self._members()
                    assert allowed >= 0
                    self.started[hook.name] = step.now
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
            lower = [other.name for other in self._members() if other.stage < hook.stage]
            assert set(lower) <= self.outcomes.keys(), f"{hook.name} did not wait for {lower}"

    def _what_is_done_stays_done(self, before: dict[str, HookOutcome]) -> None:
        """An outcome changes only if the hook never began and a stronger event gives it another chance."""
        for name, outcome in before.items():
            if self.outcomes.get(name) != outcome:
                assert outcome.status in NEVER_BEGAN
                assert outcome.started_at is None
                assert self.effects[-1] is Effect.UPGRADED

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
        for name, outcome in self.outcomes.items():
            if outcome.status is HookStatus.NOT_STARTED or name not in self.started:
                assert outcome.started_at is None
            else:
                assert outcome.started_at == self.started[name]
            assert (outcome.status is HookStatus.TIMED_OUT) <= (name in self.termed)
            assert (outcome.status is HookStatus.KILLED) <= (name in self.killed)
            assert (outcome.status in {HookStatus.SUCCEEDED, HookStatus.FAILED}) <= (name not in self.termed)
        if isinstance(step.happening, HookEnded):
            assert step.happening.hook in self.outcomes

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

    def _limits_are_kept(self, step: Step) -> None:
        for name in self._alive() - self.killed.keys():
            assert step.now < self._limit(self.hooks[name]), f"{name} is alive at its limit"

    def _reserves_are_kept(self, step: Step) -> None:
        for hook in self._starts(step):
            if self._is_promised(hook):
                allowed = next(o.allowed for o in step.orders if isinstance(o, StartHook) and o.hook is hook)
                assert allowed >= self.promised[hook.name] - ROUNDING, f"{hook.name} gets less than its reserve"
        for name, outcome in self.outcomes.items():
            if outcome.status is HookStatus.GIVEN_UP and outcome.ended_at == step.now:
                assert not self._is_promised(self.hooks[name]), f"{name} is given up though there is time for it"
        for order in step.orders:
            if isinstance(order, TerminateHook) and not self.stopped and order.hook not in self.opposed:
                had = step.now - self.started[order.hook]
                if self._is_promised(self.hooks[order.hook]):
                    assert had >= self.promised[order.hook] - ROUNDING, f"{order.hook} is ended within its reserve"

    def _is_promised(self, hook: Hook) -> bool:
        """A hook that asks for less by its own timeout or late start gets what it asks for."""
        asks_for_less = hook.start_before is not None or (hook.timeout is not None and hook.timeout < hook.reserve)
        return hook.name in self.promised and not asks_for_less

    def _starts(self, step: Step) -> list[Hook]:
        return [order.hook for order in step.orders if isinstance(order, StartHook)]
