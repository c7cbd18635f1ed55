"""Generated drains: hooks, how they behave, and what else happens meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, OnFailure
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import EventCame, EventWithdrawn, Happening, StopAsked
from tests.drain.driver import Behaviour, Driver, Step, make_event


@dataclass(frozen=True)
class Scenario:
    """All that is needed to run one drain, again and again, to the same end."""

    event: Event
    hooks: tuple[Hook, ...]
    settings: DrainSettings
    behaviours: dict[str, Behaviour]
    script: tuple[tuple[float, Happening], ...]
    lateness: tuple[float, ...]

    def drain(self) -> Drain:
        """The machine before its first step."""
        return Drain(self.event, self.hooks, self.settings)

    def play(self, drain: Drain, check: Callable[[Step], None] = lambda _: None) -> list[Step]:
        """Drive a machine through this scenario."""
        return Driver(drain, self.behaviours, self.script, self.lateness, check).run(self.event.seen_at)


def seconds(least: float, most: float) -> st.SearchStrategy[float]:
    """Eighths of a second: sums of them are exact, and happenings often fall together."""
    return st.integers(int(least * 8), int(most * 8)).map(lambda eighths: eighths / 8)


# Terminate is named twice so that hooks and events are about it half of the time, as they are in life.
KINDS = st.sampled_from([*EventKind, EventKind.START, EventKind.REBALANCE, *[EventKind.TERMINATE] * 6])

LEFT = st.one_of(st.sampled_from([120.0, 40.0, 10.0, 2.0]), seconds(0, 130))

HOOKS = st.builds(
    Hook,
    name=st.just(""),
    on=st.frozensets(KINDS, min_size=1, max_size=3),
    command=st.just(("true",)),
    stage=st.sampled_from([10, 20, 30, 40]),
    timeout=st.none() | seconds(0.125, 30),
    reserve=st.just(0.0) | seconds(0.5, 30),
    start_before=st.none() | st.none() | seconds(0, 60),
    on_failure=st.sampled_from(OnFailure),
    always=st.booleans(),
    background=st.sampled_from([False, False, False, True]),
)

BEHAVIOURS = st.builds(
    Behaviour,
    seconds=st.none() | seconds(0, 40),
    exit_code=st.sampled_from([0, 0, 0, 1, 75]),
    signal=st.sampled_from([None, None, None, 6, 11]),
    dies_after=st.none() | seconds(0, 3),
    reaped=st.sampled_from([True, True, True, False]),
    startable=st.sampled_from([True, True, True, True, False]),
)


NEVER_LATE: st.SearchStrategy[tuple[float, ...]] = st.just(())


@st.composite
def happenings(draw: st.DrawFn) -> tuple[float, Happening]:
    """Something that is not a hook's doing, and when."""
    when = draw(seconds(0, 8) | seconds(0, 150))
    event = make_event(draw(KINDS), draw(LEFT), at=when)
    came = EventCame(event)
    choices: list[Happening] = [came, came, came, EventWithdrawn(event.kind), StopAsked()]
    return when, draw(st.sampled_from(choices))


@st.composite
def scenarios(draw: st.DrawFn, lateness: st.SearchStrategy[tuple[float, ...]] = NEVER_LATE) -> Scenario:
    """A drain of 0 to 8 hooks, disturbed up to five times."""
    kind = draw(KINDS | st.just(EventKind.START))
    drawn = draw(st.lists(HOOKS, max_size=8))
    # An instance that is being armed has hooks for that, and many of them are for what follows, too.
    armed = {kind} if kind is EventKind.START and drawn and draw(st.booleans()) else set()
    hooks = tuple(replace(hook, name=f"hook-{number}", on=hook.on | armed) for number, hook in enumerate(drawn))
    return Scenario(
        event=make_event(kind, draw(LEFT)),
        hooks=hooks,
        settings=DrainSettings(margin=draw(st.sampled_from([0.0, 1.0, 3.0])), kill_grace=draw(seconds(0, 2))),
        behaviours={hook.name: draw(BEHAVIOURS) for hook in hooks},
        script=tuple(draw(st.lists(happenings(), max_size=5))),
        lateness=draw(lateness),
    )
