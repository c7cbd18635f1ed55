"""The batch job: every leftover volume of this Availability Zone, put together from its rooms."""

import json
import os
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spotwatch.cli.destinations import destination
from spotwatch.cli.options import shown_path
from spotwatch.cli.ship import dry_run
from spotwatch.cli.ship.host import ThisHost
from spotwatch.cli.ship.order import Order
from spotwatch.cli.ship.shipper import WorkerShipper
from spotwatch.cli.ship.view import view
from spotwatch.core.errors import UsageError
from spotwatch.core.instant import Instant
from spotwatch.core.quantity import format_size
from spotwatch.core.settings import Settings, ShipSettings
from spotwatch.core.volume import Volume
from spotwatch.host.clock import Clock
from spotwatch.ship.batch import Batch, at_once, exit_code
from spotwatch.ship.intent import intents
from spotwatch.ship.job import Ending, Job, Outcome
from spotwatch.ship.volumes import Volumes
from spotwatch.watch.connection import Connection
from spotwatch.watch.probe import probe

PATIENCE: Final = 300.0
"""Seconds that one call to EC2, and one wait for what it does, may take; a detachment can take minutes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this host is; an empty region leaves it to the environment."""

    instance_id: str
    availability_zone: str
    region: str


def run_batch(
    arguments: Namespace,
    settings: Settings,
    order: Order,
    *,
    host: Callable[[str, str], ThisHost] = ThisHost,
    shipper: type[WorkerShipper] = WorkerShipper,
) -> int:
    """Bring every leftover volume to its end; the exit code follows from the worst that became of one.

    Args:
        arguments: the words of the batch job.
        settings: those of this machine.
        order: for all volumes.
        host: makes this machine of its instance id and the directory of its claims.
        shipper: reads volumes. `spotwatch simulate` has a machine and a reader of its own.

    Raises:
        UsageError: it is not known where this host is, or boto3 is not installed.
        AwsError: the volumes cannot be listed.
    """
    place = _place(arguments, settings)
    cores = os.cpu_count() or 1
    most = at_once(cores=cores, memory=_free_memory(), asked=arguments.jobs or min(settings.ship.jobs, cores))
    machine = host(place.instance_id, os.path.join(settings.state.directory, "ship"))
    ec2 = _Chosen(_ec2(place.region), arguments.volume or ())
    ending = _ending(arguments, settings.ship)
    if order.dry_run:
        return _say_what_would_be_done(order, ec2, machine, place, ending, most=most, as_json=arguments.json)
    shared = replace(order, workers=arguments.workers or max(1, order.workers // most))
    with view(settings.log) as shown:
        reader = shipper(shared, shown)
        job = Job(ec2.volumes, machine, reader, ending)
        tell = _keep_silent if arguments.json else _tell
        with _interruptible(reader):
            batch = Batch(ec2, machine, job, most=most, wait=time.sleep, tell=tell)
            outcomes = batch.run(place.availability_zone)
    if arguments.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    elif not outcomes:
        print(f"no leftover volume in {place.availability_zone}")
    return exit_code(outcomes)


def _say_what_would_be_done(
    order: Order, ec2: "_Chosen", host: ThisHost, place: Place, ending: Ending, *, most: int, as_json: bool
) -> int:
    """The dry run: only questions are put to EC2, and none to the destination."""
    told = intents(ec2.labelled(place.availability_zone), place.instance_id, ending, host.now())
    if not told and not as_json:
        print(f"no leftover volume in {place.availability_zone}")
        return 0
    at_once = min(most, ec2.volumes.attachment_limit(place.instance_id))
    to = destination(order.to, order.kept).url
    if as_json:
        print(json.dumps(dry_run.document(told, to=to, at_once=at_once), indent=2))
    else:
        print("\n".join(dry_run.lines(told, to=to, at_once=at_once, now=host.now())))
    return 0


class _Chosen:
    """EC2's volumes, of which only some are looked at; the rest of `Volumes` is theirs.

    Attributes:
        volumes: all of them.
    """

    def __init__(self, volumes: Volumes, chosen: Collection[str]) -> None:
        self.volumes = volumes
        self._chosen = chosen

    def labelled(self, availability_zone: str = "") -> Iterator[Volume]:
        """See `Volumes.labelled`."""
        found = self.volumes.labelled(availability_zone)
        return (volume for volume in found if not self._chosen or volume.id in self._chosen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.volumes, name)


def _ec2(region: str) -> Volumes:
    try:
        from spotwatch.aws.session import Session
        from spotwatch.aws.volumes import Volumes as Ec2Volumes
    except ImportError:
        raise UsageError("EC2 needs the package boto3", hint="install the extra: pip install '.[ship]'") from None
    return Ec2Volumes(Session(Clock(), patience=PATIENCE, region=region or None).api("ec2"))


def _place(arguments: Namespace, settings: Settings) -> Place:
    told = Place(arguments.host_instance_id, arguments.availability_zone, arguments.region)
    if not (told.instance_id and told.availability_zone):
        seen = probe(Connection, settings.metadata, settings.drain.limit, _now).instance
        told = Place(
            told.instance_id or seen.id or "",
            told.availability_zone or seen.availability_zone or "",
            told.region or seen.region or "",
        )
    if not (told.instance_id and told.availability_zone):
        raise UsageError(
            f"{settings.metadata.endpoint} does not say which instance this is",
            hint="run it on EC2, or name a volume with --device; else --host-instance-id and --availability-zone",
        )
    return told


def _now() -> Instant:
    return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))


def _ending(arguments: Namespace, settings: ShipSettings) -> Ending:
    return Ending(
        keep=settings.keep if arguments.keep is None else arguments.keep,
        retain=timedelta(seconds=settings.retain if arguments.retain is None else arguments.retain),
        snapshot=settings.snapshot if arguments.snapshot is None else arguments.snapshot,
    )


def _free_memory() -> int:
    """Bytes that can be had without swapping (proc_meminfo(5))."""
    with open("/proc/meminfo", encoding="ascii") as file:
        told = dict(line.split(":", 1) for line in file)
    return int(told["MemAvailable"].split()[0]) * 1024


@contextmanager
def _interruptible(shipper: WorkerShipper) -> Iterator[None]:
    """Ctrl-C ends the readers too: they are in other process groups, and their threads are waited for."""

    def interrupt(_signal: int, _frame: object) -> None:
        shipper.interrupted = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(outcome: Outcome) -> None:
    """One line for each volume."""
    shipped = f", {format_size(outcome.shipped_bytes)} shipped" if outcome.shipped_bytes else ""
    reason = f": {shown_path(outcome.reason)}" if outcome.reason else ""
    hint = f" ({outcome.hint})" if outcome.hint else ""
    print(f"{outcome.volume}  {outcome.verdict}{shipped}{reason}{hint}", flush=True)


def _keep_silent(_: Outcome) -> None:
    """All of it is told at the end."""
