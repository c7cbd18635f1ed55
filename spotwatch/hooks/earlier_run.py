"""What an earlier run of `leave-dns` in the same drain was about to take out.

What this survives: a hook that was killed while it waited for caches to expire, and is run again. The name service has
nothing of the instance any more then, and says nothing of who may still remember it. So what is going to be taken out
is noted before it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spotwatch.core.errors import StateUnavailable
from spotwatch.core.name_record import NameChange
from spotwatch.hooks.services import Note, Services


@dataclass(frozen=True, slots=True)
class _Taken:
    addresses: tuple[str, ...] = ()
    ttl: int | None = None


class EarlierRun:
    """The note of a hook; outside a drain there is none."""

    def __init__(self, services: Services) -> None:
        """Read it; one of another drain is none."""
        self._drain = services.environment.get("SPOTWATCH_DRAIN_ID", "")
        self._note: Note | None = None
        self._names: dict[str, _Taken] = {}
        try:
            self._note = services.note()
            self._names = dict(_read(self._note.read(), self._drain)) if self._note else {}
        except StateUnavailable as error:
            _say(error)

    def about_to_take(self, changes: Sequence[NameChange]) -> None:
        """Note it, beside what an earlier run has noted."""
        taken = [change for change in map(self.whole, changes) if change.taken]
        if not taken or self._note is None:
            return
        self._names |= {change.name: _Taken(change.taken, change.ttl) for change in taken}
        names = {name: [each.addresses, each.ttl] for name, each in self._names.items()}
        try:
            self._note.write(json.dumps({"drain": self._drain, "names": names}))
        except StateUnavailable as error:
            _say(error)

    def whole(self, change: NameChange) -> NameChange:
        """The change together with what an earlier run has made of the same."""
        earlier = self._names.get(change.name, _Taken())
        ttls = [ttl for ttl in (change.ttl, earlier.ttl) if ttl is not None]
        taken = dict.fromkeys((*earlier.addresses, *change.taken))
        return replace(change, taken=tuple(taken), ttl=max(ttls, default=None))


def _read(text: str, drain: str) -> Mapping[str, _Taken]:
    """What a note says of this drain; a damaged one says nothing."""
    try:
        kept = json.loads(text or "{}")
        if kept.get("drain") != drain:
            return {}
        return {
            str(name): _Taken(tuple(map(str, addresses)), None if ttl is None else int(ttl))
            for name, (addresses, ttl) in kept["names"].items()
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _say(error: StateUnavailable) -> None:
    print(f"{error.message}; if this hook is killed and run again, it will not wait for what is remembered", flush=True)
