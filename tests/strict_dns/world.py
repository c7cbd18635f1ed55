"""What the layer remembers beside moto."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class DnsDelays:
    """Seconds that changes take.

    Attributes:
        in_sync: of a change in Route 53, from PENDING to INSYNC.
        operation: of an operation of Cloud Map, from SUBMITTED to SUCCESS.
    """

    in_sync: float = 0.0
    operation: float = 0.0


def _nothing() -> None:
    """The default."""


@dataclass(slots=True)
class Naming:
    """Shared by all requests.

    Attributes:
        changes: the status of Route 53's changes by number.
        prior: so many of the next changes come before an earlier one is done (PriorRequestNotComplete).
        before_change: carried out once, before the next change is looked at: somebody else is quicker.
        operations: the status of Cloud Map's operations.
        busy: the operation that an instance of a service is in.
        failing: operations that begin now fail with this message, if it is not empty.
    """

    delays: DnsDelays = field(default_factory=DnsDelays)
    changes: dict[str, str] = field(default_factory=dict)
    prior: int = 0
    before_change: Callable[[], None] = _nothing
    operations: dict[str, str] = field(default_factory=dict)
    busy: dict[tuple[str, str], str] = field(default_factory=dict)
    failing: str = ""

    def take_before_change(self) -> Callable[[], None]:
        do, self.before_change = self.before_change, _nothing
        return do
