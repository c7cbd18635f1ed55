"""What the layer remembers beside moto."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class NetworkDelays:
    """Seconds that changes take.

    Attributes:
        created: of an interface, from pending.
        attached: of an attachment, from attaching.
        detached: of an attachment, from detaching.
        shown: until a description shows a new interface, a new address, a new DeleteOnTermination.
    """

    created: float = 0.0
    attached: float = 0.0
    detached: float = 0.0
    shown: float = 0.0


@dataclass(slots=True)
class NetworkWorld:
    """Shared by all requests.

    Attributes:
        states: of interfaces that are on their way: pending, attaching, detaching.
        hidden: interfaces, addresses and attachments whose latest change is not shown yet.
    """

    delays: NetworkDelays = field(default_factory=NetworkDelays)
    states: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
