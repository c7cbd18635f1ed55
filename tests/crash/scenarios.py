"""What is announced while the daemon dies, and the hooks that have to bear it.

A hook is a small program that writes into ``hooks.log`` when it starts and when it ends. It holds a lock on a file as
long as anything of it lives, and says so if another run of it has that lock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spotwatch.simulate.instance import MaintenanceEvent
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import hook

_PRELUDE = """
say() { printf '%s %s %s %s %s\\n' "$SPOTWATCH_HOOK" "$1" "$(date +%s.%N)" $$ "$SPOTWATCH_EVENT" >> "$T/hooks.log"; }
work() { sleep "$1"; while [ -e "$T/hold" ]; do sleep 0.02; done; }
exec 9> "$T/$SPOTWATCH_HOOK.lock"
flock -n 9 || say beside-itself
"""

STUBBORN = "trap '' TERM; setsid sleep 60 & say start; while :; do sleep 0.05; done"
LEAVES_A_PROCESS_BEHIND = "setsid sleep 60 & say start; sleep 0.1; say end"

WORKS_LONGER_FOR_START = """
trap 'say end; exit 143' TERM
say start
if [ "$SPOTWATCH_EVENT" = start ]; then work 5; else work 0.1; fi
say end
"""

BOTH = ("rebalance", "terminate")
START_TOO = ("start", "terminate")


def works(seconds: float, *, code: int = 0) -> str:
    """A script that takes so long and then exits with this code."""
    return f"say start; work {seconds}; say end; exit {code}"


def actor(name: str, script: str, **keys: object) -> str:
    """A ``[[hook]]`` that says what it does."""
    return hook(name, _PRELUDE + script, **keys)


@dataclass(frozen=True)
class Scenario:
    """Something that happens to an instance.

    Attributes:
        hooks: the text of the settings.
        begin: what is announced before the daemon lives.
        cue: the hook whose first start is the cue for the next act; empty if there is none.
        act: what is announced then.
        event: the event that the drain is for in the end.
        stays: whether the drain stays the current one when it is over.
    """

    name: str
    hooks: Sequence[str]
    begin: Callable[[MetadataService], None]
    cue: str = ""
    act: Callable[[MetadataService], None] = lambda _: None
    event: str = "terminate"
    stays: bool = True

    def __str__(self) -> str:
        return self.name


def _terminate_in(seconds: float) -> Callable[[MetadataService], None]:
    return lambda service: service.interrupt("terminate", datetime.now(UTC) + timedelta(seconds=seconds))


def _recommend_rebalance(service: MetadataService) -> None:
    service.recommend_rebalance(datetime.now(UTC))


def _schedule_maintenance(service: MetadataService) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    service.schedule_maintenance([MaintenanceEvent("instance-reboot", soon, soon + timedelta(hours=1))])


def _cancel_maintenance(service: MetadataService) -> None:
    service.schedule_maintenance([])


STAGES = Scenario(
    "stages",
    [
        actor("one", works(0.15), stage=1),
        actor("beside", works(0.05), stage=1, rerun=False),
        actor("fails", works(0.05, code=1), stage=2, on_failure="stop"),
        actor("skipped", works(0.05), stage=3),
        actor("notify", works(0.05), stage=3, always=True),
    ],
    _terminate_in(60),
)
UPGRADE = Scenario(
    "upgrade",
    [
        actor("one", works(0.05), stage=1, on=BOTH),
        actor("two", works(0.25), stage=2, on=BOTH),
        actor("once", works(0.05), stage=2, on=BOTH, rerun=False),
        actor("weak", works(0.05), stage=3, on=["rebalance"]),
        actor("three", works(0.05), stage=3, on=BOTH),
        actor("strong", works(0.05), stage=4),
    ],
    _recommend_rebalance,
    cue="two",
    act=_terminate_in(60),
)
STUBBORN_HOOK = Scenario(
    "stubborn",
    [
        actor("leaves", LEAVES_A_PROCESS_BEHIND, stage=1),
        actor("stubborn", STUBBORN, stage=2, timeout="1s"),
        actor("after", works(0.05), stage=3),
    ],
    _terminate_in(60),
)
ARMING = Scenario(
    "arming",
    [
        actor("arm", works(5), stage=1, on=["start"]),
        actor("ready", works(0.05), stage=1, on=START_TOO, rerun=False),
        actor("both", WORKS_LONGER_FOR_START, stage=1, on=START_TOO),
        actor("armed", works(0.05), stage=2, on=["start"]),
        actor("drain", works(0.1), stage=1),
        actor("once", works(0.1), stage=2, rerun=False),
    ],
    lambda _: None,
    cue="arm",
    act=_terminate_in(60),
)
CANCELED = Scenario(
    "canceled",
    [
        actor("one", works(0.4), stage=1, on=["maintenance"]),
        actor("once", works(0.4), stage=1, on=["maintenance"], rerun=False),
        actor("two", works(0.05), stage=2, on=["maintenance"]),
    ],
    _schedule_maintenance,
    cue="one",
    act=_cancel_maintenance,
    event="maintenance",
    stays=False,
)
SHORT = Scenario(
    "short",
    [
        actor("one", works(0.1), stage=1),
        actor("long", works(60), stage=2),
        actor("flush", works(0.1), stage=3, reserve="500ms"),
    ],
    _terminate_in(6),
)
BACKGROUND = Scenario(
    "background",
    [
        actor("beside", works(0.5), stage=1, background=True),
        actor("one", works(0.1), stage=1),
        actor("two", works(0.1), stage=2),
        actor("late", works(0.05), stage=3, background=True),
        actor("three", works(0.05), stage=3),
    ],
    _terminate_in(60),
)

SCENARIOS = (STAGES, UPGRADE, STUBBORN_HOOK, ARMING, CANCELED, SHORT, BACKGROUND)
