"""One look at the metadata service, for a person who wants to know whether it can be used."""

from collections.abc import Callable
from dataclasses import dataclass

from spotwatch.core.errors import MetadataError
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import LimitSettings, MetadataSettings
from spotwatch.watch.exchange import Metadata
from spotwatch.watch.observations import Announced, Failed, Remark
from spotwatch.watch.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Probe:
    """What one poll of every item has shown.

    Attributes:
        version: ``IMDSv2``, ``IMDSv1``, or an empty text if the service did not answer.
        skew: seconds that AWS's clock is ahead of the system's, None if no answer was dated.
        announced: what is announced at this moment.
        failures: what could not be read, and why.
        warnings: what an operator should know.
    """

    version: str
    instance: InstanceFacts
    skew: float | None
    announced: tuple[str, ...]
    failures: tuple[tuple[str, MetadataError], ...]
    warnings: tuple[str, ...]


def probe(
    connect: Callable[[str], Metadata],
    settings: MetadataSettings,
    limits: LimitSettings,
    clock: Callable[[], Instant],
) -> Probe:
    """Poll every item once; never raises, takes at most one poll interval."""
    watcher = Watcher(connect, settings, limits, clock)
    try:
        seen = watcher.poll()
    finally:
        watcher.close()
    return Probe(
        version=watcher.version,
        instance=watcher.instance,
        skew=watcher.skew.estimate.total_seconds() if watcher.skew.known else None,
        announced=tuple(o.event.kind.value for o in seen if isinstance(o, Announced)),
        failures=tuple((o.item, o.error) for o in seen if isinstance(o, Failed)),
        warnings=tuple(o.message for o in seen if isinstance(o, Remark) and o.warning),
    )
