"""All leftover volumes of an Availability Zone, the oldest first, several at once.

What this survives:

- Another host that does the same at the same time: whoever attaches a volume has it, and the others go on to the next.
- A host that died while it held volumes: when their leases have been silent for long they are taken over.
- A volume that is no leftover although it is labelled: attached to its own instance, which lives or is stopped.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Final

from spotwatch.core.errors import EX_DATAERR, EX_TEMPFAIL, AwsRefused
from spotwatch.core.volume import STATE_TAG, Volume, VolumeLabel, VolumeState
from spotwatch.ship.job import RENEW_EVERY, Host, Job, Outcome, Verdict
from spotwatch.ship.volumes import Lease, Volumes

LEASE_SILENCE: Final = 3 * RENEW_EVERY
"""Seconds without a renewal after which the holder of a lease is taken for dead: two renewals and what they may lag."""

MEMORY_OF_ONE: Final = 150 * 10**6
"""Bytes that the reading of one volume may need."""

EXIT_CODES: Final = {Verdict.QUARANTINED: EX_DATAERR, Verdict.FAILED: EX_TEMPFAIL}
"""Of a batch whose worst verdict this is; the others are 0. The next run goes on with what failed."""


def at_once(*, cores: int, memory: int, asked: int | None = None) -> int:
    """How many volumes a machine can read at a time, at least one.

    Args:
        cores: that may be used; one is kept busy by one volume.
        memory: bytes that are free.
        asked: the most that are wanted.
    """
    return max(1, min(cores if asked is None else asked, memory // MEMORY_OF_ONE))


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """What a batch ends with: it follows from the worst verdict."""
    return max((EXIT_CODES.get(outcome.verdict, 0) for outcome in outcomes), default=0)


class Batch:
    """Works on leftover volumes with the threads of this process; what they wait for are child processes and AWS."""

    def __init__(
        self,
        volumes: Volumes,
        host: Host,
        job: Job,
        *,
        most: int,
        wait: Callable[[float], None],
        tell: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            volumes: EC2's.
            host: this machine.
            job: what is done with each.
            most: volumes at a time; the instance may have fewer slots left.
            wait: lets so many seconds pass.
            tell: is told each outcome as it comes, in the thread that calls `run`.
        """
        self._volumes = volumes
        self._host = host
        self._job = job
        self._most = most
        self._wait = wait
        self._tell = tell

    def run(self, availability_zone: str) -> list[Outcome]:
        """Bring every leftover of the AZ to its end that nobody else works on; one outcome for each.

        Raises:
            AwsError: they cannot be listed, or this instance has no slot for any.
        """
        began = self._host.elapsed()
        leftovers = sorted(filter(is_to_do, self._volumes.labelled(availability_zone)), key=age_of)
        held = [volume for volume in leftovers if volume.instance_id not in ("", self._host.instance_id)]
        free = [volume for volume in leftovers if volume not in held]
        outcomes = self._all(self._job.work, free)
        return outcomes + self._take_over(held, began)

    def _take_over(self, held: Sequence[Volume], since: float) -> list[Outcome]:
        """Those whose leases were not renewed since they were listed. Who has no lease is a person, and is left alone.

        The silence is measured here, from one look to the next: clocks of two hosts are never compared.
        """
        leased = [volume for volume in held if Lease.from_tags(volume.tags) is not None]
        if leased:
            self._wait(max(0.0, since + LEASE_SILENCE - self._host.elapsed()))
        return self._all(self._job.take_over, leased)

    def _all(self, do: Callable[[Volume], Outcome], volumes: Sequence[Volume]) -> list[Outcome]:
        if not volumes:
            return []
        workers = ThreadPoolExecutor(self._threads(volumes), thread_name_prefix="ship")
        outcomes: list[Outcome] = []
        try:
            for future in as_completed([workers.submit(partial(do, volume)) for volume in volumes]):
                outcomes.append(future.result())
                self._tell(outcomes[-1])
        finally:
            workers.shutdown(cancel_futures=True)
        return outcomes

    def _threads(self, volumes: Sequence[Volume]) -> int:
        """As many as there are slots for; those that are attached here already need none.

        Raises:
            AwsRefused: not even for one.
        """
        here = sum(volume.instance_id == self._host.instance_id for volume in volumes)
        slots = here + self._volumes.attachment_limit(self._host.instance_id)
        if not slots:
            raise AwsRefused(
                f"{self._host.instance_id} can have no more volumes attached",
                hint="detach some, or take an instance type with a larger limit",
            )
        return min(self._most, slots, len(volumes))


def is_leftover(volume: Volume) -> bool:
    """Whether a labelled volume has outlived its instance: not what is going away, or attached to that instance."""
    told = _label(volume)
    is_worn = bool(volume.instance_id) and told is not None and told.instance_id == volume.instance_id
    return volume.state in ("available", "in-use") and not is_worn


def is_to_do(volume: Volume) -> bool:
    """Whether there is anything to do: a volume in quarantine waits for a person, once it is attached to nothing."""
    return is_leftover(volume) and bool(volume.instance_id or volume.tags.get(STATE_TAG) != VolumeState.QUARANTINED)


def _label(volume: Volume) -> VolumeLabel | None:
    try:
        return VolumeLabel.from_tags(volume.tags)
    except ValueError:
        return None


def age_of(volume: Volume) -> tuple[float, str]:
    """Orders volumes by when they were marked; one whose label makes no sense by when it was made."""
    told = _label(volume)
    return (told.marked_at if told else volume.created).timestamp(), volume.id
