"""A unit of systemd, as far as stopping it is concerned."""

from dataclasses import dataclass
from typing import Final

STOPPED: Final = frozenset({"inactive", "failed"})
"""The active states of a unit that nothing of runs any more (systemd's D-Bus interface, "ActiveState")."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd says of a unit, in its own words.

    Attributes:
        name: with its type, such as `nginx.service`.
        load_state: `loaded`, `not-found`, `masked`, …
        active_state: `active`, `deactivating`, `inactive`, `failed`, …
        result: how its last run ended: `success`, `timeout`, `exit-code`, …; empty if its type has none.
        has_job: whether something is still to be done with it.
        triggered_by: the sockets, timers, paths and automounts that would start it (again).
    """

    name: str
    load_state: str = "loaded"
    active_state: str = "active"
    result: str = ""
    has_job: bool = False
    triggered_by: tuple[str, ...] = ()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of it runs."""
        return self.active_state in STOPPED

    @property
    def state(self) -> str:
        """For people."""
        return "not known to systemd" if self.load_state == "not-found" else self.active_state
