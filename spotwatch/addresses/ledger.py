"""What EC2 cannot tell us afterwards: which addresses of the primary interface are ours, and what we had just begun.

An address has no tags, and assigning one takes no client token. So the intention is written down before the call, and
what came of it after: whatever appears between the two is ours.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

from spotwatch.addresses.services import Memory


@dataclass(frozen=True, slots=True)
class Creation:
    """The parameters of a network interface that is being created; the same token must come with the same ones."""

    token: str
    subnet_id: str
    security_groups: tuple[str, ...]
    addresses: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What has to outlast a crash.

    Attributes:
        instance_id: which it is about; a state directory may have come with an image.
        added: addresses of the primary interface that we have assigned.
        before: those that it had when we began to assign more, and have not written down yet which; None: we have not.
        creation: begun, and not seen yet.
    """

    instance_id: str
    added: tuple[str, ...] = ()
    before: tuple[str, ...] | None = None
    creation: Creation | None = None

    def with_assigned(self, now: tuple[str, ...]) -> Self:
        """After the assignment: whatever was not there before it, of `now`, is ours."""
        known = {*self.added, *(self.before or ())}
        return replace(self, added=(*self.added, *(each for each in now if each not in known)), before=None)

    def without_gone(self, now: tuple[str, ...]) -> Self:
        """An address that has gone from the interface is nobody's of ours, even if it comes back."""
        return replace(self, added=tuple(each for each in self.added if each in now))


class Ledgers:
    """Reads and writes the ledger of one instance."""

    def __init__(self, memory: Memory, instance_id: str) -> None:
        self._memory = memory
        self._instance_id = instance_id

    def read(self) -> Ledger:
        """The ledger; an empty one if there is none, or it is about another instance, or it is damaged."""
        try:
            told = json.loads(self._memory.read())
            found = Ledger(
                told["instance_id"],
                tuple(told["added"]),
                None if told["before"] is None else tuple(told["before"]),
                _creation(told["creation"]),
            )
        except (ValueError, KeyError, TypeError):
            return Ledger(self._instance_id)
        return found if found.instance_id == self._instance_id else Ledger(self._instance_id)

    def write(self, ledger: Ledger) -> None:
        """Replace it; durable when this returns, and nothing is written if nothing has changed.

        Raises:
            StateUnavailable: it cannot be written.
        """
        if ledger != self.read():
            self._memory.write(json.dumps(asdict(ledger), indent=2) + "\n")


def _creation(told: dict[str, object] | None) -> Creation | None:
    if told is None:
        return None
    groups = told["security_groups"]
    if not isinstance(groups, list):
        raise TypeError("security_groups is no list")
    return Creation(str(told["token"]), str(told["subnet_id"]), tuple(map(str, groups)), int(str(told["addresses"])))
